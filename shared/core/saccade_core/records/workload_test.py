from __future__ import annotations

import pytest

from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.fleet import set_paused
from saccade_core.records.scaling import KEPT_CHANGES, last_changes, last_seen, note, note_change
from saccade_core.records.workload import UNKNOWN_RUN_S, expected_run_s, workloads
from servers.records import accepted, alter, claimed, succeed


def _ran(db: Database, seconds: float) -> None:
    job = claimed(db, accepted(db).id)
    succeed(db, job)
    alter(db, job.id, started_at=1000.0, finished_at=1000.0 + seconds)


def test_nothing_waits_and_nothing_runs(db: Database) -> None:
    _ran(db, 2.0)
    assert workloads(db) == {}


def test_work_is_counted_in_what_runs_took_before(db: Database) -> None:
    assert expected_run_s(db, "probe") == UNKNOWN_RUN_S
    _ran(db, 2.0)
    _ran(db, 4.0)
    assert expected_run_s(db, "probe") == pytest.approx(3.0)
    for queue in ("cpu", "cpu.bulk", "cpu.bulk"):
        accepted(db, queue=queue)
    running = claimed(db, accepted(db).id)
    found = workloads(db)
    assert set(found) == {"cpu"}
    load = found["cpu"]
    assert (load.waiting, load.busy) == (3, 1)
    assert load.waiting_s == pytest.approx(9.0)
    assert 2.0 < load.running_s <= 3.0
    leases.release(db, running)
    assert (workloads(db)["cpu"].waiting, workloads(db)["cpu"].busy) == (4, 0)


def test_a_paused_pool_needs_no_workers_for_what_waits(db: Database) -> None:
    accepted(db)
    set_paused(db, "cpu", paused=True)
    assert workloads(db)["cpu"].waiting == 0


def test_training_is_work_of_its_own(db: Database) -> None:
    accepted(db, pool="keras", queue="keras.train")
    assert set(workloads(db)) == {"keras.train"}


def test_what_was_seen_and_done_is_kept(sqlite_db: Database) -> None:
    note(sqlite_db, "cpu", {"replicas": 1})
    note(sqlite_db, "cpu", {"replicas": 2})
    assert [(row.queue, row.seen) for row in last_seen(sqlite_db)] == [("cpu", {"replicas": 2})]
    for number in range(KEPT_CHANGES + 5):
        note_change(sqlite_db, "cpu", number, number + 1, "because")
    note_change(sqlite_db, "keras", 0, 1, "other")
    changes = last_changes(sqlite_db, limit=1000)
    assert len(changes) == KEPT_CHANGES + 1
    assert (changes[0].queue, changes[0].after) == ("keras", 1)
    assert min(row.before for row in changes if row.queue == "cpu") == 5
