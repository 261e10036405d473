"""From a request to a recorded job: check what it names, choose where it runs, write it down."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from saccade_core.errors import InvalidRequest, NotFound, UnknownReference, UnsupportedMediaType
from saccade_core.jobs import queue_name
from saccade_core.kind import Kind, Pool
from saccade_core.records import files, fleet, requests
from saccade_core.records.database import Database
from saccade_core.records.tables import JobRow
from saccade_gateway.job_requests import JobRequest
from saccade_gateway.references import Reference, parse
from saccade_kinds import registry

_DEEPEST = 64


def submit(
    db: Database, project: str, body: Mapping[str, Any], asked: JobRequest, idempotency_key: str | None
) -> tuple[JobRow, bool]:
    """Record the job that ``asked`` describes; False as second value where its idempotency key had done so before.

    ``body`` is the JSON that ``asked`` was read from. Raises UnknownReference, UnsupportedMediaType, TooLarge,
    InvalidRequest and IdempotencyConflict.
    """
    kind = registry.get(body["kind"])
    inputs: dict[str, Any] = _part(asked, "inputs").model_dump(exclude_none=True)
    references = list(_references(inputs))
    _check(db, project, kind, references)
    pool = _choose_pool(db, kind)
    return requests.accept(
        db,
        requests.NewJob(
            project=project,
            kind=kind.name,
            pool=pool,
            queue=queue_name(kind, pool, asked.priority),
            priority=asked.priority,
            inputs=inputs,
            params=_part(asked, "params").model_dump(mode="json"),
            labels=dict(asked.labels),
            max_attempts=asked.max_attempts,
            request_digest=digest(body),
            file_ids=[reference.file_id for reference in references if reference.form == "file"],
            idempotency_key=idempotency_key,
            run_at=_later(asked),
            deadline_s=asked.deadline_s,
            ttl_s=asked.ttl_s,
        ),
    )


def digest(body: Mapping[str, Any]) -> str:
    """sha256 of the request, the same for any order of its keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_storable(body: Any) -> None:
    """Refuse JSON that no database takes: NUL and half characters, infinite numbers, or nested without end."""
    waiting: list[tuple[str, Any, int]] = [("", body, 0)]
    while waiting:
        field, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise InvalidRequest(f"JSON may be nested {_DEEPEST} deep.", field=field[:200])
        if isinstance(value, dict):
            for key, item in value.items():
                _check_text(field, key)
                waiting.append((f"{field}.{key}".removeprefix("."), item, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{field}[{i}]", item, depth + 1) for i, item in enumerate(value)]
        elif isinstance(value, str):
            _check_text(field, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequest("A number must be finite.", field=field, received=str(value))


def _check_text(field: str, text: str) -> None:
    if "\x00" in text:
        raise InvalidRequest("Text may not hold a NUL character.", field=field, received=text)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest("Text may not hold half a surrogate pair.", field=field, received=text)


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
    found = files.find_files(db, project, file_ids) if file_ids else {}
    for reference in references:
        if reference.form == "file":
            if reference.file_id not in found:
                raise UnknownReference(f"There is no {reference.text}.", field=reference.field, received=reference.text)
            yield reference, found[reference.file_id].media_type
        elif reference.form == "artifact":
            yield reference, _artifact_type(db, project, reference)
        else:
            yield reference, reference.media_type


def _artifact_type(db: Database, project: str, reference: Reference) -> str:
    try:
        return requests.get_artifact(db, project, reference.job_id, reference.name).media_type
    except NotFound:
        raise UnknownReference(
            f"There is no {reference.text}.", field=reference.field, received=reference.text
        ) from None


def _choose_pool(db: Database, kind: Kind) -> Pool:
    """The first pool with a CUDA worker; where there is none, the last, which needs none."""
    workers = fleet.list_workers(db) if isinstance(kind.pool, tuple) else []
    cuda_pools = [worker.pool for worker in workers if worker.device.startswith("cuda")]
    chosen: Pool = kind.pools[-1]
    for pool in reversed(kind.pools):
        chosen = pool if pool in cuda_pools else chosen
    return chosen


def _later(asked: JobRequest) -> float | None:
    """When the job may start, where that is not now."""
    at = asked.run_at.timestamp() if asked.run_at else 0.0
    return at if at > time.time() else None
