"""A job's way through a worker: claim, fetch, run, store, finish. Read it from ``execute`` down.

Every step may fail or be killed at any point; the records decide what happened (saccade_core.records.leases).
"""

from __future__ import annotations

import hashlib
import json
import logging
import mimetypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from saccade_core.blobs import Check
from saccade_core.errors import (
    Cancelled,
    EngineFailed,
    InputTooLarge,
    LeaseLost,
    NotFound,
    SaccadeError,
    StorageFailed,
    Unavailable,
)
from saccade_core.jobs import JobState, ModelUsed, Provenance
from saccade_core.kind import ARTIFACT_NAME, InputFile, Kind
from saccade_core.records import leases
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.tables import JobRow
from saccade_kinds import registry
from saccade_worker.child import Drained, Task, Watch
from saccade_worker.fetch import Fetcher
from saccade_worker.host import Host
from saccade_worker.lease import Lease

log = logging.getLogger(__name__)

_PARALLEL_UPLOADS = 4
_RECORD_AGAIN_S = 1.0

#: Records how an attempt ended and gives the job's new state; raises LeaseLost or Unavailable.
Ending = Callable[[], JobState]


def execute(host: Host, job_id: str) -> None:
    """Run the job if it is ours to run; never raises, because the message says nothing that the record does not."""
    try:
        job = leases.claim(host.db, job_id, host.worker_id)
    except Unavailable as error:
        log.warning("claim of %s: %s", job_id, error)  # it stays queued, and is published again
        return
    if job is None:
        log.info("%s is not to be claimed: done, cancelled, or another's", job_id)
        return
    log.info("%s (%s) attempt %d", job.id, job.kind, job.attempt)
    host.live.event(job.id, "state", {"state": JobState.RUNNING, "attempt": job.attempt})
    with Lease(host.db, job) as lease, host.busy_with(lease):
        state = _record(lease, _attempt(host, lease))
    log.info("%s is %s", job.id, state or "another worker's now")
    if state is not None and state.final:
        host.live.event(job.id, "done", {"id": job.id, "state": state})
    elif state is not None:
        host.live.event(job.id, "state", {"state": state, "attempt": job.attempt})
    if state is JobState.QUEUED:
        host.publish(job)


def _attempt(host: Host, lease: Lease) -> Ending:
    """Run once; what is to be recorded of it."""
    job = lease.job
    try:
        with host.scratch.for_job(job.id) as scratch:
            return _run(host, lease, scratch)
    except Cancelled:
        return partial(leases.cancelled, host.db, job.id, job.token)
    except Drained:
        return partial(leases.release, host.db, job)
    except SaccadeError as error:
        log.warning("%s: %s: %s", job.id, error.code, error.message)
        return partial(leases.fail, host.db, job, error)
    except OSError:
        log.exception("%s: the worker's own disk", job.id)
        return partial(leases.fail, host.db, job, StorageFailed("The worker's own disk failed or is full."))
    except Exception:
        log.exception("%s failed in the worker", job.id)
        return partial(leases.fail, host.db, job, EngineFailed("The worker failed in a way that is not known."))


def _record(lease: Lease, ending: Ending) -> JobState | None:
    """Record how the attempt ended, for as long as the job is ours; its state then, or None where the lease is lost."""
    while not lease.lost:
        try:
            return ending()
        except LeaseLost:
            break
        except Unavailable as error:
            log.warning("the end of %s is not recorded yet: %s", lease.job.id, error)
            time.sleep(_RECORD_AGAIN_S)
    return None


def _run(host: Host, lease: Lease, scratch: Path) -> Ending:
    job = lease.job
    kind = registry.get(job.kind)
    provenance = Provenance(
        code_version=f"saccade {version('saccade-worker')}, {kind.name} {kind.version}",
        params_digest=_digest(job.params),
        device=host.device,
    )

    def check() -> None:
        reason = _stop_reason(host, lease)
        if reason is not None:
            raise reason

    lease.advance(0, 1, "fetching inputs")
    inputs = Fetcher(host.settings, host.db, host.blobs, check).fetch_all(job, kind, scratch / "inputs")
    provenance.input_sha256 = {f.field.removeprefix("inputs."): f.sha256 for files in inputs.values() for f in files}
    _fetch_checkpoints(host, job, scratch)
    result = _run_child(host, lease, kind, inputs=inputs, scratch=scratch, provenance=provenance)
    artifacts = _store(host, job, scratch / "artifacts", check)
    check()

    def succeed() -> JobState:
        progress = lease.advance(1, 1, "done").model_dump()
        made = provenance.model_dump()
        state = leases.succeed(
            host.db, job.id, job.token, result=result, artifacts=artifacts, provenance=made, progress=progress
        )
        told = [{"name": a.name, "media_type": a.media_type, "bytes": a.bytes} for a in artifacts]
        host.live.events(job.id, [("artifact", data) for data in told])
        return state

    return succeed


def _stop_reason(host: Host, lease: Lease) -> Exception | None:
    """Why the attempt should stop now: the lease's reason, or the worker's own stop."""
    return lease.problem() or (Drained() if host.drained() else None)


def _run_child(
    host: Host, lease: Lease, kind: Kind, *, inputs: dict[str, list[InputFile]], scratch: Path, provenance: Provenance
) -> dict[str, Any]:
    job = lease.job

    def tell(message: dict[str, Any]) -> None:
        match message.pop("type"):
            case "progress":
                host.live.event(job.id, "progress", lease.advance(**message).model_dump())
            case "model":
                provenance.models.append(ModelUsed(**message))
            case "checkpoint":
                _store_checkpoint(host, job, scratch, str(message["name"]))
            case "log" | "metric" as event:
                host.live.event(job.id, event, message)
            case other:
                log.warning("the child said %r", other)

    task = Task(kind.name, inputs, job.params, scratch, kind.time_limit_s, kind.memory_mb)
    return _checked(host, host.child.run(task, Watch(tell, partial(_stop_reason, host, lease))))


def _store(host: Host, job: JobRow, folder: Path, check: Check) -> list[StoredArtifact]:
    """Put what the runner wrote under this attempt's own prefix, where no other attempt writes."""

    def put(path: Path) -> StoredArtifact:
        name = path.relative_to(folder).as_posix()
        media_type = _media_type(name)
        key = f"jobs/{job.id}/{job.token}/{name}"
        stored = host.blobs.put_file(key, path, media_type, check=check)
        return StoredArtifact(name, media_type, stored.bytes, stored.sha256, key)

    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    bad = [path.name for path in found if not ARTIFACT_NAME.fullmatch(path.relative_to(folder).as_posix())]
    if bad:
        raise EngineFailed(f"The runner wrote an artefact with a name that is not allowed: {bad[0][:80]!r}.")
    if len(found) == 1:
        return [put(found[0])]
    with ThreadPoolExecutor(_PARALLEL_UPLOADS) as pool:
        return list(pool.map(put, found))


def _store_checkpoint(host: Host, job: JobRow, scratch: Path, name: str) -> None:
    path = scratch / "checkpoints" / name
    if ARTIFACT_NAME.fullmatch(name) and path.is_file() and not path.is_symlink():
        host.blobs.put_file(f"{_checkpoints(job)}{name}", path, "application/octet-stream")


def _fetch_checkpoints(host: Host, job: JobRow, scratch: Path) -> None:
    if job.token == 1:
        return
    prefix = _checkpoints(job)
    for stat in list(host.blobs.list(prefix)):
        path = scratch / "checkpoints" / stat.key.removeprefix(prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            host.blobs.get_file(stat.key, path)
        except NotFound:
            continue


def _checkpoints(job: JobRow) -> str:
    return f"jobs/{job.id}/checkpoints/"


def _checked(host: Host, result: dict[str, Any]) -> dict[str, Any]:
    size, limit = len(json.dumps(result)), host.settings.max_result_bytes
    if size > limit:
        raise InputTooLarge(f"The result is {size} bytes of JSON; at most {limit} are kept.")
    return result


def _digest(params: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def _media_type(name: str) -> str:
    if name.endswith(".hocr"):
        return "text/html"
    if name.endswith(".jsonl"):
        return "application/x-ndjson"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
