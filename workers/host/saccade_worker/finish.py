"""How attempts end: what they made is stored, their ends are recorded together, and everybody is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from saccade_core.errors import LeaseLost, SaccadeError, Unavailable
from saccade_core.jobs import JobState
from saccade_core.records import leases
from saccade_core.records.successes import Success, succeed_all
from saccade_core.records.tables import JobRow
from saccade_worker.attempt import Attempt, Ending
from saccade_worker.host import Host
from saccade_worker.lease import Lease
from saccade_worker.parts import after_part, tell_artifacts

log = logging.getLogger(__name__)

_RECORD_AGAIN_S = 1.0


def finish(host: Host, attempts: Sequence[Attempt]) -> None:
    """Store, record and tell; an attempt whose lease is lost is thrown away."""
    try:
        together: list[tuple[Attempt, Success]] = []
        for attempt in attempts:
            made = attempt.stored()
            if isinstance(made, Success):
                together.append((attempt, made))
            else:
                _told(host, attempt.job, _record(attempt.lease, made))
        _succeed(host, together)
    finally:
        for attempt in attempts:
            attempt.close()


def _succeed(host: Host, done: Sequence[tuple[Attempt, Success]]) -> None:
    """Record successes, for as long as the jobs are ours."""
    while done := [(attempt, success) for attempt, success in done if not attempt.lease.lost]:
        try:
            held = succeed_all(host.db, [success for _, success in done])
        except Unavailable as error:
            log.warning("the ends of %d jobs are not recorded yet: %s", len(done), error)
            time.sleep(_RECORD_AGAIN_S)
            continue
        except Exception:
            if len(done) == 1:
                raise
            log.exception("the ends of %d jobs cannot be recorded together", len(done))
            with ExitStack() as every:  # what is wrong with one is not the others'
                for one in done:
                    every.callback(_succeed, host, [one])
            return
        for attempt, success in done:
            ours = success.job_id in held
            if ours:
                tell_artifacts(host, attempt.job, success.artifacts)
            _told(host, attempt.job, JobState.SUCCEEDED if ours else None)
        return


def refuse(host: Host, job: JobRow, error: SaccadeError) -> None:
    """Record that this worker cannot even begin."""
    _told(host, job, _record(Lease(host.db, job), partial(leases.fail, host.db, job, error)))


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


def _told(host: Host, job: JobRow, state: JobState | None) -> None:
    """Tell watchers and queue what has just been recorded of the job; nothing where it is another's."""
    log.info("%s is %s", job.id, state or "another worker's now")
    if state is None:
        return
    if state is JobState.QUEUED:
        host.publish([job.id], job.queue)
    if job.parent_id is not None:
        after_part(host, job, state)
    elif state.final:
        host.live.event(job.id, "done", {"id": job.id, "state": state})
    elif job.parts_total is None and state is not JobState.RUNNING:
        host.live.event(job.id, "state", {"state": state, "attempt": job.attempt})
