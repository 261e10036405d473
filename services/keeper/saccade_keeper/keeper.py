"""The only process that repairs: what a crash left undone anywhere is found in the records and done here.

Any number of keepers may run; the one with the database lock works. Each duty reads and writes the records in
transactions of its own, so a keeper that is killed at any point leaves nothing half done. Its loop asks only the
database and Redis; what concerns the object store is done by a thread beside it (saccade_keeper.cleaning).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from saccade_core.blobs import open_blobs
from saccade_core.errors import SaccadeError
from saccade_core.jobs import JobState
from saccade_core.live import Live
from saccade_core.queue import Queue
from saccade_core.records import fleet, repair
from saccade_core.records.database import Database
from saccade_core.records.tables import JobRow
from saccade_keeper.cleaning import Cleaner
from saccade_keeper.serving import start_serving
from saccade_keeper.settings import KeeperSettings

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The lock outlives a pause of the process, and a dead keeper's is taken over after it.
_LOCK_S = 10.0
_PUBLISH_AT_ONCE = 500
_TIDY_EVERY_S = 5.0
#: A stop waits this long for the step that the cleaning is in, which may be killed as well.
_STOP_S = 5.0


class Keeper:
    """The duties and how often each is done."""

    def __init__(self, settings: KeeperSettings) -> None:
        self._settings = settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._db = Database(settings.database_url)
        self._queue = Queue(settings.redis_url)
        self._live = Live(settings.redis_url)
        self._leading = threading.Event()
        self._next_tidy = 0.0
        self.cleaner = Cleaner(
            self._db,
            open_blobs(settings),
            self._live,
            leads=self._leading.is_set,
            sweep_s=settings.keeper_sweep_s,
            orphan_age_s=settings.orphan_age_s,
        )

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set."""
        log.info("keeper %s", self._name)
        cleaning = threading.Thread(target=self.cleaner.run, args=(stop,), name="cleaner", daemon=True)
        cleaning.start()
        serving = start_serving(self._settings, self._db, self._leading.is_set, stop)
        while not stop.is_set():
            self.step()
            stop.wait(self._settings.keeper_period_s)
        cleaning.join(_STOP_S)
        serving.join(_STOP_S)
        self._attempt(lambda: repair.release_lock(self._db, "keeper", self._name))  # let another one in at once

    def step(self) -> None:
        """One look at everything that is due; nothing where another keeper leads."""
        if not self._attempt(lambda: repair.take_lock(self._db, "keeper", self._name, _LOCK_S)):
            self._leading.clear()
            return
        self._leading.set()
        self._attempt(self._wake)
        self._attempt(self._take_back)
        self._attempt(self._publish)
        now = time.monotonic()
        if now >= self._next_tidy:
            self._next_tidy = now + _TIDY_EVERY_S
            self._attempt(self._end_overdue)
            self._attempt(lambda: fleet.forget_gone_workers(self._db))

    def _attempt(self, duty: Callable[[], T]) -> T | None:
        """One duty's failure leaves the others their turn; it is due again at the next step."""
        try:
            return duty()
        except SaccadeError as error:
            log.warning("keeper: %s", error)
        except Exception:
            log.exception("keeper")
        return None

    def _wake(self) -> None:
        woken = repair.wake_due(self._db)
        if woken:
            log.info("%d waiting jobs are due", woken)

    def _take_back(self) -> None:
        for job in repair.take_back_expired(self._db):
            log.warning("%s: worker %s is gone; the job is %s", job.id, job.worker, job.state)
            if job.parent_id is not None:
                self._tell_of_part(job)
                continue
            done = JobState(job.state).final
            told = {"id": job.id, "state": job.state} if done else {"state": job.seen_state, "attempt": job.attempt}
            self._live.event(job.id, "done" if done else "state", told)

    def _tell_of_part(self, part: JobRow) -> None:
        """A part that can be tried no more has ended its job, and the parts that still run; unless it may fail."""
        goes_on = part.state == JobState.FAILED and part.part_may_fail
        if part.is_final and part.parent_id is not None and not goes_on:
            self._live.cancel(part.parent_id)
            self._live.event(part.parent_id, "done", {"id": part.parent_id, "state": part.state})

    def _publish(self) -> None:
        """Fill each queue up to what its records say. Messages that were only slow are doubled, which is harmless."""
        waiting = repair.queued_by_queue(self._db)
        if not waiting:
            return
        if not self._queue.marked("filled"):
            log.warning("Redis is new or was emptied: every queued job is published again")
            repair.publish_all_again(self._db)
            self._queue.mark("filled")  # last: where anything before fails, the next step begins anew
        for queue, records in waiting.items():
            missing = min(records - self._queue.depth(queue), _PUBLISH_AT_ONCE)
            if missing <= 0:
                continue
            published: list[str] = []
            try:
                for job_id in repair.publishable(self._db, queue, missing):
                    self._queue.publish(job_id, queue)
                    published.append(job_id)
            finally:
                if published:
                    repair.mark_published(self._db, published)
                    log.info("published %d jobs to %s", len(published), queue)

    def _end_overdue(self) -> None:
        for job_id in repair.end_overdue(self._db):
            self._live.cancel(job_id)  # parts of it may run
            self._live.event(job_id, "done", {"id": job_id, "state": JobState.FAILED})
