"""A job's way through a worker: claim, fetch, run, store, finish. Read it from ``execute`` down.

Every step may fail or be killed at any point; the records decide what happened (saccade_core.records.leases).
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from saccade_core.errors import (
    Cancelled,
    EngineFailed,
    InputError,
    InputTooLarge,
    LeaseLost,
    SaccadeError,
    StorageFailed,
    Unavailable,
)
from saccade_core.jobs import JobState, ModelUsed, Provenance
from saccade_core.records import leases
from saccade_core.records.tables import JobRow
from saccade_kinds import registry
from saccade_worker.child import Drained, Task, Watch
from saccade_worker.fetch import Fetcher
from saccade_worker.host import Host
from saccade_worker.job_gallery import gallery_of
from saccade_worker.lease import Lease
from saccade_worker.parts import after_part, merged, split, step_of, tell_artifacts, tell_progress
from saccade_worker.steps import Split
from saccade_worker.store import fetch_checkpoints, store_artifacts, store_checkpoint

log = logging.getLogger(__name__)

_RECORD_AGAIN_S = 1.0
#: What a part gives beside its artefacts is small: those of all parts go to the join in one message.
_PART_RESULT_BYTES = 1 << 20

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
    if job.parent_id is None:
        host.live.event(job.id, "state", {"state": JobState.RUNNING, "attempt": job.attempt})
    noted = partial(tell_progress, host, job) if job.parent_id else None
    with Lease(host.db, job, noted) as lease, host.busy_with(lease):
        state = _record(lease, _attempt(host, lease))
    log.info("%s is %s", job.id, state or "another worker's now")
    if state is not None:
        _tell(host, job, state)


def _tell(host: Host, job: JobRow, state: JobState) -> None:
    """Tell watchers and queue what has just been recorded of the job."""
    if state is JobState.QUEUED:
        host.publish([job.id], job.queue)
    if job.parent_id is not None:
        after_part(host, job, state)
    elif state.final:
        host.live.event(job.id, "done", {"id": job.id, "state": state})
    elif job.parts_total is None and state is not JobState.RUNNING:
        host.live.event(job.id, "state", {"state": state, "attempt": job.attempt})


def _attempt(host: Host, lease: Lease) -> Ending:
    """Run once; what is to be recorded of it."""
    job = lease.job
    try:
        with host.scratch.for_job(job.id, job.token) as scratch:
            return _run(host, lease, scratch)
    except Split as planned:
        return partial(split, host, job, registry.get(job.kind), planned.parts)
    except Cancelled:
        return partial(leases.cancelled, host.db, job.id, job.token)
    except Drained:
        return partial(leases.release, host.db, job)
    except SaccadeError as error:
        log.warning("%s: %s: %s", job.id, error.code, error.message)
        failure = error
    except OSError:
        log.exception("%s: the worker's own disk", job.id)
        failure = StorageFailed("The worker's own disk failed or is full.")
    except Exception:
        log.exception("%s failed in the worker", job.id)
        failure = EngineFailed("The worker failed in a way that is not known.")
    return partial(leases.fail, host.db, job, failure)


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

    lease.advance(0, 1, "fetching models")
    models = host.models.for_run(kind, job.params, check)
    lease.advance(0, 1, "fetching inputs")
    inputs = Fetcher(host.settings, host.db, host.blobs, check, host.inputs).fetch_all(job, kind, scratch / "inputs")
    provenance.input_sha256 = {f.field.removeprefix("inputs."): f.sha256 for files in inputs.values() for f in files}
    fetch_checkpoints(host.blobs, job, scratch)
    gallery = gallery_of(host.galleries, job, kind, scratch, check)
    step, came_from = step_of(host, job, scratch, check)
    task = Task(kind.name, inputs, job.params, scratch, kind.time_limit_s, kind.memory_mb, models, gallery, step)
    result = _run_child(host, lease, task, provenance)
    artifacts = store_artifacts(host.blobs, job, scratch / "artifacts", check)
    also = gallery.store(host.blobs, job, inputs, check) if gallery else None
    check()

    def succeed() -> JobState:
        progress = lease.advance(1, 1, "done").model_dump()
        made_by = merged(provenance, came_from).model_dump()
        made: dict[str, Any] = {"result": result, "artifacts": artifacts, "provenance": made_by}
        try:
            state = leases.succeed(host.db, job.id, job.token, **made, progress=progress, also=also)
        except InputError as error:  # of ``also``: nothing is recorded yet
            return leases.fail(host.db, job, error)
        tell_artifacts(host, job, artifacts)
        return state

    return succeed


def _stop_reason(host: Host, lease: Lease) -> Exception | None:
    """Why the attempt should stop now: the lease's reason, or the worker's own stop."""
    return lease.problem() or (Drained() if host.drained() else None)


def _run_child(host: Host, lease: Lease, task: Task, provenance: Provenance) -> dict[str, Any]:
    job = lease.job

    def tell(message: dict[str, Any]) -> None:
        match message.pop("type"):
            case "progress":
                progress = lease.advance(**message)
                if job.parent_id is None:  # else the lease tells how far all parts are
                    host.live.event(job.id, "progress", progress.model_dump())
            case "model":
                provenance.models.append(ModelUsed(**message))
            case "checkpoint":
                store_checkpoint(host.blobs, job, task.root, str(message["name"]))
            case "face" if task.gallery is not None:
                task.gallery.enroll(message)
            case "log" | "metric" as event:
                host.live.event(job.parent_id or job.id, event, message)
            case other:
                log.warning("the child said %r", other)

    limit = host.settings.max_result_bytes if job.parent_id is None else _PART_RESULT_BYTES
    return _checked(host.child.run(task, Watch(tell, partial(_stop_reason, host, lease))), limit)


def _checked(result: dict[str, Any], limit: int) -> dict[str, Any]:
    size = len(json.dumps(result))
    if size > limit:
        raise InputTooLarge(f"The result is {size} bytes of JSON; at most {limit} are kept.")
    return result


def _digest(params: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
