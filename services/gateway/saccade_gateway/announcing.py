"""Tells workers and watchers what was just recorded, beside the answer and never in its way.

The records are the truth: what is not told here, because Redis is away or slow, the keeper tells a little later.
A few threads of their own keep a Redis that hangs from using up those that serve the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from saccade_core.errors import Unavailable
from saccade_core.jobs import JobState
from saccade_core.live import EventType, Live
from saccade_core.queue import Queue
from saccade_core.records.tables import JobRow

log = logging.getLogger(__name__)

_THREADS = 4
_MOST_WAITING = 1000
_REST_S = 1.0


class Announcer:
    """Publishes and emits from its own threads; nothing here waits, and nothing here raises."""

    def __init__(self, queue: Queue, live: Live) -> None:
        self._queue = queue
        self._live = live
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="announcer")
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._rest_until = 0.0

    def publish(self, row: JobRow) -> None:
        """Tell the workers of the job's queue that it is due, where it is."""
        if row.state == JobState.QUEUED:
            self._soon(self._publish, row.id, row.queue)

    def cancel(self, row: JobRow) -> None:
        """Ask the job's worker, or its parts' workers, to stop; tell the watchers of one that has ended by this."""
        if row.state == JobState.RUNNING or row.parts_total is not None:
            self._soon(self._live.cancel, row.id)
        if row.state == JobState.CANCELLED:
            self.event(row.id, "state", {"state": row.state, "attempt": row.attempt})
            self.event(row.id, "done", {"id": row.id, "state": row.state})

    def event(self, job_id: str, kind: EventType, data: dict[str, Any]) -> None:
        """Append an event to the job's stream."""
        self._soon(self._live.event, job_id, kind, data)

    def forget(self, job_id: str) -> None:
        """Remove the events of a deleted job."""
        self._soon(self._live.forget, job_id)

    def close(self) -> None:
        """Finish what is under way (each step has its time-out) and drop the rest."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _publish(self, job_id: str, queue: str) -> None:
        if time.monotonic() < self._rest_until:
            return
        try:
            self._queue.publish(job_id, queue)
        except Unavailable as error:
            self._rest_until = time.monotonic() + _REST_S
            log.warning("not published, the keeper will: %s: %s", job_id, error.message)

    def _soon(self, act: Callable[..., None], *args: Any) -> None:
        if not self._waiting.acquire(blocking=False):
            log.warning("too much waits to be told; the keeper will")
            return
        self._threads.submit(self._run, act, *args)

    def _run(self, act: Callable[..., None], *args: Any) -> None:
        try:
            act(*args)
        except Exception:
            log.exception("announcing failed")
        finally:
            self._waiting.release()
