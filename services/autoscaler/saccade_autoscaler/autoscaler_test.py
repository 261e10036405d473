from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from saccade_autoscaler.autoscaler import Autoscaler
from saccade_autoscaler.compose import Replica
from saccade_autoscaler.settings import Pool
from saccade_core.errors import Unavailable
from saccade_core.records.database import Database
from saccade_core.records.fleet import report_worker
from saccade_core.records.requests import cancel_job
from saccade_core.records.scaling import last_changes, last_seen
from saccade_core.records.tables import WorkerRow
from servers.records import PROJECT, accepted, claimed


@dataclass
class Fleet:
    """Replicas in memory, in the place of those in Docker, which the stack's own tests use."""

    there: list[Replica] = field(default_factory=list[Replica])
    broken: bool = False
    stopped: list[str] = field(default_factory=list[str])
    hold: threading.Event = field(default_factory=threading.Event)

    def replicas(self, service: str) -> list[Replica]:
        if self.broken:
            raise Unavailable("the engine is away")
        return [replica for replica in self.there if replica.name.startswith(service)]

    def add(self, service: str, count: int) -> list[str]:
        for _ in range(count):
            number = 1 + max((r.number for r in self.there), default=0)
            self.there.append(Replica(f"id{number}", f"{service}-{number}", f"host{number}", number, running=True))
        return [replica.name for replica in self.there[-count:]]

    def stop(self, replica: Replica, grace_s: int) -> None:
        assert grace_s > 0
        self.hold.wait(10)
        self.stopped.append(replica.name)
        self.there.remove(replica)

    def sweep(self, service: str) -> None:
        assert service == "worker-cpu"


def _autoscaler(db: Database, fleet: Fleet, scale_in_after_s: float = 0.3) -> Autoscaler:
    pool = Pool(
        service="worker-cpu", most=4, target_wait_s=5, scale_in_after_s=scale_in_after_s, cool_down_s=0, grace_s=5
    )
    return Autoscaler(db, fleet, {"cpu": pool}, period_s=0.05)


def _worker_on(db: Database, host: str, job_id: str | None) -> None:
    times = {"started_at": time.time(), "seen_at": 0.0}
    row = WorkerRow(id=f"w@{host}", pool="cpu", queues="cpu,cpu.bulk", host=host, pid=1, device="cpu", state="idle")
    for name, value in {**times, "job_id": job_id}.items():
        setattr(row, name, value)
    report_worker(db, row)


def test_workers_come_with_the_work_and_go_when_it_is_done(sqlite_db: Database) -> None:
    fleet = Fleet()
    fleet.hold.set()
    fleet.add("worker-cpu", 1)
    scaler = _autoscaler(sqlite_db, fleet)
    jobs = [accepted(sqlite_db).id for _ in range(8)]  # 5 s each, as a kind that never ran
    for _ in range(3):
        scaler.step()
    assert len(fleet.there) == 4
    running = claimed(sqlite_db, jobs[0])
    _worker_on(sqlite_db, "host4", running.id)
    for job_id in jobs[1:]:
        cancel_job(sqlite_db, PROJECT, job_id)
    limit = time.monotonic() + 10
    while len(fleet.there) > 1 and time.monotonic() < limit:
        scaler.step()
        time.sleep(0.05)
    assert [replica.hostname for replica in fleet.there] == ["host4"]  # the one that works is kept
    told = last_seen(sqlite_db)[0].seen
    assert (told["service"], told["most"], told["busy"]) == ("worker-cpu", 4, 1)
    ways = [(change.before, change.after) for change in reversed(last_changes(sqlite_db))]
    assert ways[:2] == [(1, 2), (2, 4)]
    assert ways[-1][1] == 1
    assert all(change.reason for change in last_changes(sqlite_db))


def test_a_worker_that_is_stopping_is_not_counted_and_not_stopped_twice(sqlite_db: Database) -> None:
    fleet = Fleet()
    fleet.add("worker-cpu", 3)
    scaler = _autoscaler(sqlite_db, fleet, scale_in_after_s=0.1)
    for _ in range(10):
        scaler.step()
        time.sleep(0.03)
    assert last_seen(sqlite_db)[0].seen["replicas"] == 1
    assert fleet.stopped == []
    fleet.hold.set()
    limit = time.monotonic() + 10
    while len(fleet.stopped) < 2 and time.monotonic() < limit:
        time.sleep(0.02)
    assert sorted(fleet.stopped) == ["worker-cpu-2", "worker-cpu-3"]


def test_an_engine_that_is_away_is_asked_again(sqlite_db: Database) -> None:
    fleet = Fleet(broken=True)
    scaler = _autoscaler(sqlite_db, fleet)
    scaler.step()
    assert last_seen(sqlite_db) == []
    fleet.broken = False
    scaler.step()
    assert len(fleet.there) == 1
