"""What one worker process holds for as long as it lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import SaccadeError, Unavailable
from saccade_core.live import BackgroundLive, CancelListener
from saccade_core.queue import Queue
from saccade_core.records import fleet, leases
from saccade_core.records.database import Database
from saccade_core.records.tables import WorkerRow
from saccade_worker.child import Child
from saccade_worker.gallery_cache import GalleryCache
from saccade_worker.input_cache import InputCache
from saccade_worker.lease import Heart
from saccade_worker.models import Models
from saccade_worker.scratch import Scratch
from saccade_worker.settings import WorkerSettings
from saccade_worker.trained_models import TrainedModels

log = logging.getLogger(__name__)

_REPORT_EVERY_S = 15.0
_SHARERS_FOR_S = 5.0


class Host:
    """Connections, the child process and the worker's own record."""

    def __init__(
        self, settings: WorkerSettings, *, pool: str, queues: str, worker_id: str, device: str = "cpu"
    ) -> None:
        self.settings = settings
        self.worker_id = worker_id
        self.device = device
        self.db = Database(settings.database_url)
        self.blobs: Blobs = open_blobs(settings)
        self.queue = Queue(settings.redis_url)
        self.live = BackgroundLive(settings.redis_url)
        trains = queues.endswith(".train")
        self.child = Child(self.device, settings.idle_memory_mb, settings.child_env, trains=trains)
        self.scratch = Scratch(settings.scratch_dir)
        self.inputs = InputCache(self.scratch.path / "inputs", settings.input_cache_bytes)
        self.galleries = GalleryCache(settings.scratch_dir / "galleries", self.db)
        self.models = Models(self.blobs, TrainedModels(self.db, self.blobs))
        self._pool, self._queues = pool, queues
        self._started = time.time()
        self.heart = Heart()
        #: Each does one thing at a time, in order: what comes before the runs of jobs, and what comes after them.
        self.before, self.after = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("before", "after"))
        self._sharers = (1, float("-inf"))
        self._draining_since: float | None = None
        self._report_now = threading.Event()
        self._closed = False

    def start(self) -> None:
        """Start the child, the listener for cancels and the reports of this worker."""
        self._end_leases_of_the_dead()
        self.child.start()
        self._cancels = CancelListener(self.settings.redis_url, self._on_cancel)
        self._reporter = threading.Thread(target=self._report, name="report", daemon=True)
        self._reporter.start()

    def drain(self) -> None:
        """The worker is asked to stop: the running job has ``drain_s`` to end before it is handed back."""
        if self._draining_since is None:
            self._draining_since = time.monotonic()
            self._report_now.set()

    def drained(self) -> bool:
        """Whether the running job's time is over."""
        since = self._draining_since
        return since is not None and time.monotonic() - since > self.settings.drain_s

    @property
    def draining(self) -> bool:
        """Whether the worker is asked to stop, and begins nothing more."""
        return self._draining_since is not None

    def sharers(self) -> int:
        """How many workers take from this one's queues, as it was a moment ago. Raises Unavailable."""
        count, seen_at = self._sharers
        if time.monotonic() - seen_at > _SHARERS_FOR_S:
            workers = fleet.list_workers(self.db)
            count = sum((worker.pool, worker.queues) == (self._pool, self._queues) for worker in workers)
            self._sharers = (count, time.monotonic())
        return max(1, count)

    def publish(self, job_ids: Sequence[str], queue: str) -> None:
        """Tell the queue of jobs that this worker made due; the keeper does it later where this fails."""
        try:
            for job_id in job_ids:
                self.queue.publish(job_id, queue)
        except Unavailable as error:
            log.info("publish of %s: %s", job_ids, error)

    def close(self) -> None:
        """Stop everything; the worker's record goes."""
        self._closed = True
        self._report_now.set()
        self._cancels.stop()
        self.child.kill()
        self.before.shutdown(cancel_futures=True)
        self.after.shutdown()
        self.heart.stop()
        self.galleries.close()
        self.scratch.close()
        try:
            fleet.remove_worker(self.db, self.worker_id)
        except SaccadeError as error:
            log.info("the record of this worker stays: %s", error)
        self.queue.close()
        self.live.close()
        self.db.close()

    def _on_cancel(self, job_id: str) -> None:
        self.heart.look_now(job_id)

    def _end_leases_of_the_dead(self) -> None:
        """Workers that were killed left folders here: their jobs need not wait for the end of their leases."""
        for job_id, token in self.scratch.abandoned:
            try:
                if leases.abandon(self.db, job_id, token):
                    log.warning("%s: its worker was killed", job_id)
            except SaccadeError as error:
                log.info("the lease of %s goes on: %s", job_id, error)

    def _report(self) -> None:
        while not self._closed:
            lease = next(iter(self.heart.leases), None)
            busy = "running" if lease else "idle"
            row = WorkerRow(
                id=self.worker_id,
                pool=self._pool,
                queues=self._queues,
                host=socket.gethostname(),
                pid=os.getpid(),
                device=self.device,
                state="draining" if self._draining_since is not None else busy,
                job_id=lease.job.id if lease else None,
                started_at=self._started,
                seen_at=0.0,
            )
            try:
                fleet.report_worker(self.db, row)
                (self.settings.scratch_dir / "alive").touch()  # for a container's health check
                self.inputs.tidy(self.db)
                self.galleries.tidy()
            except SaccadeError as error:
                log.warning("report: %s", error)
            except Exception:  # the thread must live as long as the worker
                log.exception("report")
            self._report_now.wait(_REPORT_EVERY_S)
            self._report_now.clear()
