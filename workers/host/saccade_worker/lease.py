"""Keeps claimed jobs ours until they end: heartbeats for all of a worker's jobs from one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from saccade_core.errors import Cancelled, DeadlineExceeded, LeaseLost, Unavailable
from saccade_core.jobs import Progress
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.parts import PARTS_SHARE
from saccade_core.records.tables import JobRow

log = logging.getLogger(__name__)

#: Fresh progress reaches the record at most this often; without any, a heartbeat comes every HEARTBEAT_S.
_PROGRESS_EVERY_S = 1.0
#: After a heartbeat that failed.
_AGAIN_S = 1.0
_LOOK_EVERY_S = 0.2


class Lease:
    """The right to finish one job. ``problem`` tells when the run should stop.

    ``noted`` is called, from the lease's own thread, after fresh progress has reached the record.
    """

    def __init__(self, db: Database, job: JobRow, noted: Callable[[], None] | None = None) -> None:
        self.job = job
        self.progress = Progress()
        self._noted = noted
        self._before, self._share = _share_of(job)
        self._db = db
        self._started = time.monotonic()
        self._kept_at = self._started
        self._problem: Exception | None = None
        # Both times are of the database's clock, so this host's may be wrong.
        left = float("inf") if job.deadline_at is None else job.deadline_at - leases.claimed_at(job)
        self._deadline = self._started + left
        self._told: Progress | None = None
        self._hurry = False
        self._not_before = self._started

    def problem(self) -> Exception | None:
        """Why the run should stop now: Cancelled, DeadlineExceeded, LeaseLost, or None."""
        if not isinstance(self._problem, LeaseLost) and time.monotonic() - self._kept_at > leases.LEASE_S:
            self._problem = LeaseLost("The records could not be reached for the length of a lease.")
        if self._problem is None and time.monotonic() > self._deadline:
            self._problem = DeadlineExceeded("The job did not end within its deadline.")
        return self._problem

    @property
    def lost(self) -> bool:
        """Whether another worker may have the job by now."""
        return isinstance(self.problem(), LeaseLost)

    def look_now(self) -> None:
        """Ask the record at once: the quick way told that the job may be cancelled."""
        self._hurry = True

    def advance(self, done: float, total: float, stage: str) -> Progress:
        """Note how far the run is; the record follows within a second."""
        fraction = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
        spent = time.monotonic() - self._started
        eta = round(spent * (1 - fraction) / fraction, 1) if fraction > 0.02 else None
        fraction = self._before + self._share * fraction
        self.progress = Progress(fraction=round(fraction, 4), stage=stage, done=done, total=total, eta_s=eta)
        return self.progress

    def done(self) -> Progress:
        """Note that the job has its result."""
        self._before, self._share = 0.0, 1.0
        return self.advance(1, 1, "done")

    def due(self) -> float:
        """When the record is to be told next, by the monotonic clock."""
        if isinstance(self._problem, LeaseLost):
            return float("inf")
        pause = leases.HEARTBEAT_S if self.progress is self._told else _PROGRESS_EVERY_S
        return self._not_before if self._hurry else max(self._not_before, self._kept_at + pause)

    def beat(self) -> None:
        """Extend the lease in the record, with fresh progress where there is some."""
        self._hurry = False
        fresh = self.progress if self.progress is not self._told else None
        self._told = self.progress
        self._not_before = time.monotonic() + _AGAIN_S  # where it fails
        self._beat(fresh.model_dump() if fresh else None)

    def _beat(self, progress: dict[str, Any] | None) -> None:
        asked_at = time.monotonic()
        try:
            if leases.heartbeat(self._db, self.job.id, self.job.token, progress):
                self._problem = self._problem or Cancelled("The job was cancelled.")
            self._kept_at = self._not_before = asked_at
            if progress is not None and self._noted is not None:
                self._noted()
        except LeaseLost as error:
            self._problem = error
        except Unavailable as error:
            log.warning("heartbeat of %s: %s", self.job.id, error)
        except Exception:  # the thread must live as long as the worker
            log.exception("heartbeat of %s", self.job.id)


def _share_of(job: JobRow) -> tuple[float, float]:
    """Where a run begins and how much of its job's progress it is: a join the last bit, but nothing while more parts
    are expected of it."""
    if job.parts_total is None:
        return 0.0, 1.0
    before = min(PARTS_SHARE, float((job.progress or {}).get("fraction", PARTS_SHARE)))
    return before, 0.0 if before < PARTS_SHARE else 1.0 - PARTS_SHARE


class Heart:
    """The thread that keeps leases, for as long as the worker lives."""

    def __init__(self) -> None:
        self._leases: tuple[Lease, ...] = ()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self._thread.start()

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Those that are kept, the oldest first."""
        return self._leases

    def keep(self, lease: Lease) -> None:
        """Keep the lease until ``drop``."""
        with self._changed:
            self._leases = (*self._leases, lease)
            self._changed.notify()

    def drop(self, lease: Lease) -> None:
        """The job has ended, or is another's."""
        with self._changed:
            self._leases = tuple(kept for kept in self._leases if kept is not lease)

    def look_now(self, job_id: str) -> None:
        """The job, or the one that it is a part of, may be cancelled."""
        for lease in self._leases:
            if job_id in (lease.job.id, lease.job.parent_id):
                lease.look_now()
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            for lease in self._leases:
                if lease.due() <= time.monotonic() and lease in self._leases:
                    lease.beat()
            with self._changed:
                if not any(lease.due() <= time.monotonic() for lease in self._leases):
                    # Leases come with progress that nobody wakes this thread for.
                    self._changed.wait(_LOOK_EVERY_S if self._leases else None)
