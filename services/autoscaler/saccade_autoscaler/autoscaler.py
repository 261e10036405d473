"""Looks at the waiting work of each queue and sees to it that it has the workers that it needs.

It keeps nothing but what ``decide`` remembers: one that is killed and started again goes on from what it sees. Scale-in
stops idle workers, those with the highest numbers first; a worker that has taken a job meanwhile ends it, or hands it
back, in its grace time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from saccade_autoscaler.compose import Replica
from saccade_autoscaler.decide import Decision, Memory, Policy, Seen, decide
from saccade_autoscaler.settings import Pool
from saccade_core.errors import SaccadeError
from saccade_core.records import fleet, scaling
from saccade_core.records.database import Database
from saccade_core.records.workload import Workload, workloads

log = logging.getLogger(__name__)


class Replicas(Protocol):
    """Where workers run (saccade_autoscaler.compose.Compose)."""

    def replicas(self, service: str) -> list[Replica]: ...

    def add(self, service: str, count: int) -> list[str]: ...

    def stop(self, replica: Replica, grace_s: int) -> None: ...

    def sweep(self, service: str) -> None: ...


class Autoscaler:
    """The loop over all queues."""

    def __init__(self, db: Database, where: Replicas, pools: dict[str, Pool], period_s: float) -> None:
        self._db = db
        self._where = where
        self._pools = pools
        self._period_s = period_s
        self._memory = dict.fromkeys(pools, Memory())
        self._stopping: dict[str, Future[None]] = {}
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="stop")

    def run(self, stop: threading.Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.is_set():
            self.step()
            stop.wait(self._period_s)
        self._threads.shutdown(wait=True)

    def step(self) -> None:
        """One look at every queue; what fails is tried again at the next."""
        try:
            loads = workloads(self._db)
            busy = {worker.host for worker in fleet.list_workers(self._db) if worker.job_id}
        except SaccadeError as error:
            log.warning("the records do not answer: %s", error)
            return
        for queue, pool in self._pools.items():
            try:
                self._look_after(queue, pool, loads.get(queue, Workload(queue, 0, 0, 0.0, 0.0)), busy)
            except SaccadeError as error:
                log.warning("%s: %s", queue, error)
            except Exception:
                log.exception("%s", queue)

    def _look_after(self, queue: str, pool: Pool, load: Workload, busy: Collection[str]) -> None:
        self._stopping = {name: stopping for name, stopping in self._stopping.items() if not stopping.done()}
        self._where.sweep(pool.service)
        replicas = [r for r in self._where.replicas(pool.service) if r.id not in self._stopping]
        seen = Seen(time.time(), len(replicas), min(load.busy, len(replicas)), load.waiting_s, load.running_s)
        policy = Policy(pool.least, pool.most, pool.target_wait_s, pool.scale_in_after_s, pool.cool_down_s)
        decision = decide(policy, seen, self._memory[queue])
        self._memory[queue] = decision.memory
        before, after = len(replicas), len(replicas) + self._act(pool, replicas, decision, busy)
        scaling.note(self._db, queue, _told(pool, load, after, decision.reason))
        if before != after:
            log.info("%s: %d -> %d: %s", queue, before, after, decision.reason)
            scaling.note_change(self._db, queue, before, after, decision.reason)

    def _act(self, pool: Pool, replicas: Sequence[Replica], decision: Decision, busy: Collection[str]) -> int:
        """Start or stop workers; how many more there are then."""
        more = decision.replicas - len(replicas)
        if more > 0:
            return len(self._where.add(pool.service, more))
        idle = [r for r in replicas if r.hostname not in busy]
        chosen = sorted(idle, key=lambda r: r.number, reverse=True)[:-more] if more else []
        for replica in chosen:
            log.info("stopping %s", replica.name)
            self._stopping[replica.id] = self._threads.submit(self._stop, replica, pool.grace_s)
        return -len(chosen)

    def _stop(self, replica: Replica, grace_s: int) -> None:
        try:
            self._where.stop(replica, grace_s)
        except SaccadeError as error:
            log.warning("%s: %s", replica.name, error)


def _told(pool: Pool, load: Workload, replicas: int, reason: str) -> dict[str, Any]:
    """What those who operate the stack are told of a queue."""
    wait_s = (load.waiting_s + load.running_s) / max(1, replicas) if load.waiting else 0.0
    return {
        "service": pool.service,
        "replicas": replicas,
        "least": pool.least,
        "most": pool.most,
        "target_wait_s": pool.target_wait_s,
        "expected_wait_s": round(wait_s, 1),
        "waiting": load.waiting,
        "busy": load.busy,
        "reason": reason,
    }
