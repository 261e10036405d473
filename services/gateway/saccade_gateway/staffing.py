"""Whether a queue has workers, for what queued jobs say of themselves."""

from __future__ import annotations

import time
from typing import cast

from saccade_core.errors import SaccadeError, Unavailable
from saccade_core.jobs import Job, JobState, no_worker_stage, queue_name
from saccade_core.kind import Pool
from saccade_core.records import fleet
from saccade_core.records.database import Database
from saccade_kinds import registry

_FRESH_S = 1.5


class Staffing:
    """The queues that a living worker looks at, looked up again when the last look is older than 1.5 s."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: frozenset[str] | None = None
        self._looked_at = float("-inf")

    @property
    def fresh(self) -> bool:
        """Whether ``told`` needs no look at the records now."""
        return time.monotonic() - self._looked_at <= _FRESH_S

    def told(self, job: Job) -> Job:
        """The job; where it is queued and no worker can take it, its progress says so. It blocks unless ``fresh``."""
        if job.state is JobState.QUEUED and not self._has_workers(queue := _queue_of(job)):
            job.progress = job.progress.model_copy(update={"stage": no_worker_stage(queue)})
        return job

    def _has_workers(self, queue: str) -> bool:
        """Also true where the records do not tell: nothing is said that is not known."""
        if not self.fresh:
            try:
                workers = fleet.list_workers(self._db)
                self._seen = frozenset(queue for worker in workers for queue in worker.queues.split(","))
            except Unavailable:
                self._seen = None
            self._looked_at = time.monotonic()
        return self._seen is None or queue in self._seen


def _queue_of(job: Job) -> str:
    """The queue that the job's workers look at, whatever its priority."""
    try:
        return queue_name(registry.get(job.kind), cast("Pool", job.pool))
    except SaccadeError:  # a kind that this installation does not have any more
        return job.pool
