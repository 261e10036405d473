"""From a request to a recorded job: check what it names, choose where it runs, write it down."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from saccade_core.errors import UnknownReference, UnsupportedMediaType
from saccade_core.jobs import queue_name
from saccade_core.kind import Kind, Pool
from saccade_core.records import files, fleet, lookups, requests
from saccade_core.records.database import Database
from saccade_core.records.tables import JobRow
from saccade_gateway.job_requests import JobRequest, validated
from saccade_gateway.json_check import check_json
from saccade_gateway.model_names import check_models
from saccade_gateway.references import Reference, parse
from saccade_kinds import registry


def submit(db: Database, project: str, body: Any, idempotency_key: str | None) -> tuple[JobRow, bool]:
    """Record the job that ``body``, a request's JSON, asks for; False as second value where its idempotency key had
    done so before, whatever has become of its files since.

    Raises RequestValidationError, UnknownReference, UnknownModelName, UnsupportedMediaType, TooLarge, InvalidRequest
    and IdempotencyConflict.
    """
    check_json(body)
    request_digest = digest(body)
    if idempotency_key is not None:
        earlier = requests.earlier(db, project, idempotency_key, request_digest)
        if earlier is not None:
            return earlier, False
    asked = validated(body)
    kind = registry.get(body["kind"])
    inputs: dict[str, Any] = _part(asked, "inputs").model_dump(exclude_none=True)
    references = list(_references(inputs))
    _check(db, project, kind, references)
    params = _part(asked, "params")
    used = check_models(db, project, kind, params)
    pool = _choose_pool(db, kind, params)
    return requests.accept(
        db,
        requests.NewJob(
            project=project,
            kind=kind.name,
            pool=pool,
            queue=queue_name(kind, pool, asked.priority),
            priority=asked.priority,
            inputs=inputs,
            params=params.model_dump(mode="json"),
            labels=dict(asked.labels),
            max_attempts=asked.max_attempts,
            request_digest=request_digest,
            file_ids=[reference.file_id for reference in references if reference.form == "file"],
            job_ids=[reference.job_id for reference in references if reference.form == "artifact"],
            idempotency_key=idempotency_key,
            run_at=_later(asked),
            deadline_s=asked.deadline_s,
            ttl_s=asked.ttl_s,
        ),
        also=used.hold,
    )


def digest(body: Any) -> str:
    """sha256 of the request, the same for any order of its keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _part(asked: JobRequest, name: str) -> BaseModel:
    return getattr(asked, name)  # a field of every model that job_requests makes


def _references(inputs: Mapping[str, Any]) -> Iterator[Reference]:
    for name, value in inputs.items():
        if isinstance(value, list):
            for index, text in enumerate(value):
                yield parse(f"inputs.{name}[{index}]", text)
        else:
            yield parse(f"inputs.{name}", value)


def _check(db: Database, project: str, kind: Kind, references: list[Reference]) -> None:
    """Every file and artefact exists in the caller's project, and is of a type that its input takes."""
    for reference, media_type in _media_types(db, project, references):
        given = kind.inputs[reference.field.removeprefix("inputs.").partition("[")[0]]
        if not given.takes(media_type):
            raise UnsupportedMediaType(
                f"This input takes {' or '.join(given.accepts)}; the file is {media_type}.",
                field=reference.field,
                received=media_type,
            )


def _media_types(db: Database, project: str, references: Iterable[Reference]) -> Iterator[tuple[Reference, str]]:
    file_ids = sorted({reference.file_id for reference in references if reference.form == "file"})
    of_jobs = sorted({(reference.job_id, reference.name) for reference in references if reference.form == "artifact"})
    found = files.find_files(db, project, file_ids) if file_ids else {}
    artifacts = lookups.find_artifacts(db, project, of_jobs) if of_jobs else {}
    for reference in references:
        if reference.form == "file":
            row = found.get(reference.file_id)
        elif reference.form == "artifact":
            row = artifacts.get((reference.job_id, reference.name))
        else:
            yield reference, reference.media_type
            continue
        if row is None:
            raise UnknownReference(f"There is no {reference.text}.", field=reference.field, received=reference.text)
        yield reference, row.media_type


def _choose_pool(db: Database, kind: Kind, params: BaseModel | None = None) -> Pool:
    """Of the pools that can run ``params`` the first with a CUDA worker; where there is none, the last."""
    pools = list(kind.pools if kind.pools_for is None or params is None else kind.pools_for(params))
    workers = fleet.list_workers(db) if len(pools) > 1 else []
    cuda_pools = [worker.pool for worker in workers if worker.device.startswith("cuda")]
    chosen: Pool = pools[-1]
    for pool in reversed(pools):
        chosen = pool if pool in cuda_pools else chosen
    return chosen


def _later(asked: JobRequest) -> float | None:
    """When the job may start, where that is not now."""
    at = asked.run_at.timestamp() if asked.run_at else 0.0
    return at if at > time.time() else None
