"""A job's way through a worker: claim, fetch, run, store, finish. Read it from ``execute`` down.

Every step may fail or be killed at any point; the records decide what happened (saccade_core.records.leases).
The runs are one after another; what is before and after them is done meanwhile, where a kind's jobs are small,
by threads of the host (``_Line``).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from saccade_core.errors import SaccadeError, Unavailable
from saccade_core.jobs import JobState
from saccade_core.kind import Kind
from saccade_core.records import leases
from saccade_core.records.files import find_files
from saccade_core.records.tables import FileRow, JobRow
from saccade_kinds import registry
from saccade_worker.attempt import Attempt, Ready
from saccade_worker.child import Drained
from saccade_worker.finish import finish, refuse
from saccade_worker.host import Host

log = logging.getLogger(__name__)

#: A worker that holds small jobs takes more for so long, and then looks at what else waits in its queues.
_TAKE_FOR_S = 2.0
#: Jobs that have waited for so long behind one that turns out long are handed back.
_PATIENCE_S = 2.0
#: More are taken when so few have not begun: the claim of many is done while those run.
_FEW = 2
_TICK_S = 0.1


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
    try:
        kind = registry.get(job.kind)
    except SaccadeError as error:
        refuse(host, job, error)
        return
    _Line(host, job, kind).run()


class _Line:
    """Jobs of one kind that this worker holds: one runs in the child; the next ones' inputs are fetched, and the last
    ones are stored and finished, by the host's threads ``before`` and ``after``."""

    def __init__(self, host: Host, job: JobRow, kind: Kind) -> None:
        self._host = host
        self._first = job
        self._kind = kind
        self._waiting: deque[tuple[Attempt, Future[Ready]]] = deque()
        self._done: deque[Attempt] = deque()
        self._finishing: list[Future[None]] = []
        self._taking: Future[None] | None = None
        self._take_until = time.monotonic() + _TAKE_FOR_S if kind.together > 1 and job.parent_id is None else 0.0
        self._began = time.monotonic()
        self._run_s = 0.0  # what the last run took

    def run(self) -> None:
        """Until every job that was claimed has ended, or is another's."""
        self._add([self._first], {})
        while self._waiting or self._more_come():
            attempt, ready = self._waiting.popleft()
            self._take_more()
            self._began = time.monotonic()
            try:
                attempt.run(self._ready(ready), self._look)
            except Exception as error:  # noqa: BLE001 - recorded as what it means for the job
                attempt.failed(error)
            self._run_s = time.monotonic() - self._began
            self._end(attempt)
        for finishing in self._finishing:
            finishing.result()

    def _add(self, jobs: Sequence[JobRow], known: dict[str, FileRow]) -> None:
        for job in jobs:
            log.info("%s (%s) attempt %d", job.id, job.kind, job.attempt)
            attempt = Attempt(self._host, job, self._kind)
            if job.parent_id is None:
                self._host.live.event(job.id, "state", {"state": JobState.RUNNING, "attempt": job.attempt})
            self._waiting.append((attempt, self._host.before.submit(attempt.prepare, known)))

    def _ready(self, ready: Future[Ready]) -> Ready:
        while True:
            try:
                return ready.result(_TICK_S)
            except NotYet:
                if ready.done():  # just now, or the work itself ran out of time
                    return ready.result()
                self._look()

    def _end(self, attempt: Attempt) -> None:
        """Let what waits to be stored and recorded be so; what comes together is recorded together."""
        self._done.append(attempt)
        self._finishing = [f for f in self._finishing if not f.done()]
        self._finishing.append(self._host.after.submit(self._finish))
        if len(self._done) > self._kind.together:  # storing is the slower part: no more are claimed meanwhile
            self._finishing[-1].result()

    def _finish(self) -> None:
        some: list[Attempt] = []
        while self._done:
            some.append(self._done.popleft())
        try:
            finish(self._host, some)
        except Exception:  # their leases end, and the jobs are tried again
            log.exception("the ends of %s are not recorded", [attempt.job.id for attempt in some])

    # Jobs that wait for their turn -------------------------------------------------------------------

    def _take_more(self) -> None:
        idle = self._taking is None or self._taking.done()
        if idle and len(self._waiting) <= _FEW and not self._host.draining and time.monotonic() < self._take_until:
            self._taking = self._host.before.submit(self._take)

    def _more_come(self) -> bool:
        """Whether jobs that were being claimed have come."""
        if self._taking is not None:
            self._taking.result()
        return bool(self._waiting)

    def _take(self) -> None:
        """Claim and fetch more jobs of the kind; nothing where there are none, or others are first in the queue."""
        host, first = self._host, self._first
        many = min(self._kind.together - 1, int(_PATIENCE_S / max(self._run_s, 0.01)))
        room = many - len(self._waiting)
        before_bulk = [first.queue.removesuffix(".bulk")] if first.queue.endswith(".bulk") else []
        try:
            messages = host.queue.take(first.queue, room, host.sharers(), before_bulk) if room > 0 else []
            if not messages:
                return
            jobs: list[JobRow] = []
            try:
                jobs = leases.claim_more(host.db, [m.job_id for m in messages], first, host.worker_id)
            finally:
                ours = {job.id for job in jobs}
                others = [m for m in messages if m.job_id not in ours]
                if others:  # the queue's order is kept: it is their turn
                    self._take_until = 0.0
                    host.queue.put_back(first.queue, others)
            self._add(jobs, _files(host, jobs))
        except Unavailable as error:
            log.info("no more jobs: %s", error)
        except Exception:
            log.exception("no more jobs")

    def _look(self) -> None:
        """Between two looks at the child: jobs in waiting must not wait for long, and may be cancelled."""
        hand_back = self._host.draining or time.monotonic() - self._began > _PATIENCE_S
        for attempt, ready in list(self._waiting):
            reason = attempt.problem() or (Drained() if hand_back else None)
            if reason is not None:
                self._waiting.remove((attempt, ready))
                attempt.give_up(ready, reason)
                self._end(attempt)


def _files(host: Host, jobs: Sequence[JobRow]) -> dict[str, FileRow]:
    """The records of all uploaded files that the jobs of one project name."""
    found: dict[str, FileRow] = {}
    for project in {job.project for job in jobs}:
        values = [value for job in jobs if job.project == project for value in job.inputs.values()]
        flat = [str(v) for value in values for v in (value if isinstance(value, list) else [value])]
        found |= find_files(host.db, project, [v for v in flat if v.startswith("file_")])
    return found
