"""Keeps a claimed job ours while it runs: heartbeats from a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from saccade_core.errors import Cancelled, DeadlineExceeded, LeaseLost, Unavailable
from saccade_core.jobs import Progress
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.parts import PARTS_SHARE
from saccade_core.records.tables import JobRow

log = logging.getLogger(__name__)

#: Fresh progress reaches the record at most this often; without any, a heartbeat comes every HEARTBEAT_S.
_PROGRESS_EVERY_S = 1.0


class Lease:
    """The right to finish one job. ``problem`` tells when the run should stop.

    ``noted`` is called, from the lease's own thread, after fresh progress has reached the record.
    """

    def __init__(self, db: Database, job: JobRow, noted: Callable[[], None] | None = None) -> None:
        self.job = job
        self.progress = Progress()
        self._noted = noted
        self._before = 0.0 if job.parts_total is None else PARTS_SHARE  # a join is the last bit of its job
        self._db = db
        self._started = time.monotonic()
        self._kept_at = self._started
        self._problem: Exception | None = None
        # Both times are of the database's clock, so this host's may be wrong.
        left = float("inf") if job.deadline_at is None else job.deadline_at - leases.claimed_at(job)
        self._deadline = self._started + left
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._hurry.set()
        self._wake.set()
        self._thread.join()

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
        self._hurry.set()
        self._wake.set()

    def advance(self, done: float, total: float, stage: str) -> Progress:
        """Note how far the run is; the record follows within a second."""
        fraction = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
        spent = time.monotonic() - self._started
        eta = round(spent * (1 - fraction) / fraction, 1) if fraction > 0.02 else None
        fraction = self._before + (1 - self._before) * fraction
        self.progress = Progress(fraction=round(fraction, 4), stage=stage, done=done, total=total, eta_s=eta)
        self._wake.set()
        return self.progress

    def _keep(self) -> None:
        told: Progress | None = None
        while not self._stop.is_set():
            self._wake.wait(leases.HEARTBEAT_S)
            self._hurry.wait(max(0.0, self._kept_at + _PROGRESS_EVERY_S - time.monotonic()))
            if self._stop.is_set():
                return
            self._wake.clear()
            self._hurry.clear()
            fresh = self.progress if self.progress is not told else None
            told = self.progress
            self._beat(fresh.model_dump() if fresh else None)

    def _beat(self, progress: dict[str, Any] | None) -> None:
        asked_at = time.monotonic()
        try:
            if leases.heartbeat(self._db, self.job.id, self.job.token, progress):
                self._problem = self._problem or Cancelled("The job was cancelled.")
            self._kept_at = asked_at
            if progress is not None and self._noted is not None:
                self._noted()
        except LeaseLost as error:
            self._problem = error
        except Unavailable as error:
            log.warning("heartbeat of %s: %s", self.job.id, error)
            self._stop.wait(1.0)
        except Exception:  # the thread must live as long as the lease
            log.exception("heartbeat of %s", self.job.id)
            self._stop.wait(1.0)
