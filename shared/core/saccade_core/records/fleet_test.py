from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from saccade_core.records.database import Database, now
from saccade_core.records.fleet import (
    GONE_S,
    forget_gone_workers,
    list_workers,
    paused_pools,
    queue_states,
    remove_worker,
    report_worker,
    set_paused,
)
from saccade_core.records.tables import WorkerRow
from servers.records import accepted, alter, claimed


def _worker(name: str, pool: str = "cpu", state: str = "idle") -> WorkerRow:
    return WorkerRow(
        id=name,
        pool=pool,
        queues=pool,
        host="h",
        pid=1,
        device="cpu",
        state=state,
        job_id=None,
        started_at=1.0,
        seen_at=0.0,
    )


def test_workers_that_report_are_listed(db: Database) -> None:
    report_worker(db, _worker("b", "torch"))
    report_worker(db, _worker("a"))
    report_worker(db, _worker("a", state="running"))
    assert [(w.id, w.state) for w in list_workers(db)] == [("a", "running"), ("b", "idle")]
    remove_worker(db, "a")
    assert [w.id for w in list_workers(db)] == ["b"]


def test_silent_workers_are_forgotten(db: Database) -> None:
    report_worker(db, _worker("a"))
    report_worker(db, _worker("b"))
    with db.write() as session:
        session.execute(update(WorkerRow).where(WorkerRow.id == "a").values(seen_at=now() - GONE_S - 1))
    assert [w.id for w in list_workers(db)] == ["b"]
    forget_gone_workers(db)
    report_worker(db, _worker("c"))
    assert [w.id for w in list_workers(db)] == ["b", "c"]


def test_queues_with_their_oldest_job(db: Database) -> None:
    old = accepted(db)
    accepted(db)
    claimed(db, accepted(db).id)
    claimed(db, accepted(db, queue="cpu.bulk").id)
    accepted(db, run_at=4e9)
    alter(db, old.id, queued_at=now() - 100.0)
    first, second = queue_states(db)
    assert (first.queue, first.queued, first.running) == ("cpu", 2, 1)
    assert first.oldest_s == pytest.approx(100.0, abs=2.0)
    assert (second.queue, second.queued, second.running, second.oldest_s) == ("cpu.bulk", 0, 1, 0.0)


def test_pools_are_paused_and_resumed(db: Database) -> None:
    set_paused(db, "cpu", paused=True)
    set_paused(db, "torch", paused=True)
    set_paused(db, "cpu", paused=False)
    assert paused_pools(db) == {"torch"}


def test_many_that_report_the_same_at_once(db: Database) -> None:
    def tell(number: int) -> None:
        report_worker(db, _worker("a", state="running" if number % 2 else "idle"))
        set_paused(db, "cpu", paused=True)
        if number % 3 == 0:
            remove_worker(db, "a")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(tell, range(60)))
    report_worker(db, _worker("a", state="last"))
    assert [w.state for w in list_workers(db)] == ["last"]
    assert paused_pools(db) == {"cpu"}
