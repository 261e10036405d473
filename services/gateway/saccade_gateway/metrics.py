"""What Prometheus may ask: requests as this process sees them, jobs as the records have them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from saccade_core.errors import SaccadeError
from saccade_core.records import fleet, statistics
from saccade_core.records.database import Database

log = logging.getLogger(__name__)

_REMEMBER_S = 5.0
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The registry of one gateway process."""

    def __init__(self, db: Database) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(RecordsCollector(db))
        self._requests = Counter(
            "saccade_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._duration = Histogram(
            "saccade_http_request_duration_seconds",
            "Time until the answer's last byte",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._accepted = Counter("saccade_jobs_accepted", "Jobs recorded", ["kind"], registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._duration.labels(method, route).observe(seconds)

    def accepted(self, kind: str) -> None:
        """Count a job that was recorded."""
        self._accepted.labels(kind).inc()


class RecordsCollector(Collector):
    """Jobs, queues and workers, asked of the database when scraped and remembered for 5 s."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._seen: list[Metric] = []
        self._asked_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering asks no database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The figures; only ``saccade_records_up 0`` while the database is away."""
        with self._lock:
            if time.monotonic() > self._asked_at + _REMEMBER_S:
                self._seen = self._ask()
                self._asked_at = time.monotonic()
            return list(self._seen)

    def _ask(self) -> list[Metric]:
        up = GaugeMetricFamily("saccade_records_up", "Whether the records' database answers")
        try:
            found = [*self._jobs(), *self._queues(), self._workers()]
        except SaccadeError as error:
            log.warning("metrics: %s", error.message)
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *found]

    def _jobs(self) -> list[Metric]:
        jobs = GaugeMetricFamily("saccade_jobs", "Jobs on record", labels=["kind", "state"])
        for kind, state, count in statistics.job_counts(self._db):
            jobs.add_metric([kind, state], count)
        labels = ["kind", "state"]
        ended = GaugeMetricFamily("saccade_jobs_ended", "Jobs that ran and ended in the last hour", labels=labels)
        queue_s = GaugeMetricFamily(
            "saccade_jobs_ended_queue_seconds", "How long these waited, together", labels=labels
        )
        run_s = GaugeMetricFamily("saccade_jobs_ended_run_seconds", "How long these ran, together", labels=labels)
        for row in statistics.finished_jobs(self._db):
            ended.add_metric([row.kind, row.state], row.count)
            queue_s.add_metric([row.kind, row.state], row.queue_s)
            run_s.add_metric([row.kind, row.state], row.run_s)
        return [jobs, ended, queue_s, run_s]

    def _queues(self) -> list[Metric]:
        waiting = GaugeMetricFamily("saccade_queue_waiting", "Due jobs that no worker has yet", labels=["queue"])
        running = GaugeMetricFamily("saccade_queue_running", "Jobs of the queue that run", labels=["queue"])
        oldest = GaugeMetricFamily("saccade_queue_oldest_seconds", "How long the oldest has waited", labels=["queue"])
        for state in fleet.queue_states(self._db):
            waiting.add_metric([state.queue], state.queued)
            running.add_metric([state.queue], state.running)
            oldest.add_metric([state.queue], state.oldest_s)
        return [waiting, running, oldest]

    def _workers(self) -> Metric:
        workers = GaugeMetricFamily("saccade_workers", "Worker processes that report", labels=["pool", "state"])
        for (pool, state), count in Tally((w.pool, w.state) for w in fleet.list_workers(self._db)).items():
            workers.add_metric([pool, state], count)
        return workers
