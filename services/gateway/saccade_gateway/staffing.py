"""Whether a pool has workers, for what queued jobs say of themselves."""

from __future__ import annotations

import time

from saccade_core.errors import Unavailable
from saccade_core.jobs import Job, JobState, no_worker_stage
from saccade_core.records import fleet
from saccade_core.records.database import Database

_FRESH_S = 1.5


class Staffing:
    """The pools that have a living worker, looked up again when the last look is older than 1.5 s."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: frozenset[str] | None = None
        self._looked_at = float("-inf")

    @property
    def fresh(self) -> bool:
        """Whether ``told`` needs no look at the records now."""
        return time.monotonic() - self._looked_at <= _FRESH_S

    def told(self, job: Job) -> Job:
        """The job; where it is queued and its pool has no worker, its progress says so. It blocks unless ``fresh``."""
        if job.state is JobState.QUEUED and not self._has_workers(job.pool):
            job.progress = job.progress.model_copy(update={"stage": no_worker_stage(job.pool)})
        return job

    def _has_workers(self, pool: str) -> bool:
        """Also true where the records do not tell: nothing is said that is not known."""
        if not self.fresh:
            try:
                self._seen = frozenset(worker.pool for worker in fleet.list_workers(self._db))
            except Unavailable:
                self._seen = None
            self._looked_at = time.monotonic()
        return self._seen is None or pool in self._seen
