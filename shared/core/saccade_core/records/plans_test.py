"""How the databases go about what is asked of them every few seconds."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from saccade_core.records import fleet, repair, statistics
from saccade_core.records.database import Database
from servers.records import accepted, alter, claimed, filed, succeed

_Statements = list[tuple[str, Any]]


@contextmanager
def _seen(db: Database) -> Generator[_Statements]:
    """Every statement that the block sends, with its parameters."""
    found: _Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def _duties(db: Database) -> None:
    repair.take_lock(db, "keeper", "me", 100.0)
    repair.wake_due(db)
    repair.take_back_expired(db)
    repair.queued_by_queue(db)
    repair.publishable(db, "cpu", 10)
    repair.end_overdue(db)
    repair.remove_expired_jobs(db)
    repair.remove_expired_files(db)
    fleet.forget_gone_workers(db)
    statistics.job_counts(db)
    statistics.finished_jobs(db)


def _plan(db: Database, statement: str, parameters: Any) -> str:
    """The plan; these few rows would be scanned by PostgreSQL, so that is made dear."""
    explain = "EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN "
    with db.engine.connect() as connection:
        if not db.is_sqlite:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))


def test_what_finds_nothing_writes_nothing(db: Database) -> None:
    accepted(db, deadline_s=100.0)
    claimed(db, accepted(db).id)
    accepted(db, run_at=4e9)
    filed(db)
    _duties(db)
    with _seen(db) as statements:
        _duties(db)
    assert len(statements) > 10
    writes = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE")
    assert [statement for statement, _ in statements if statement.lstrip().startswith(writes)] == []


def test_every_search_goes_through_an_index(db: Database) -> None:
    over = claimed(db, accepted(db, ttl_s=1.0).id)
    succeed(db, over)
    lost, overdue = claimed(db, accepted(db).id), accepted(db, deadline_s=100.0)
    accepted(db, run_at=1.0)
    alter(db, over.id, expires_at=1.0)
    alter(db, lost.id, lease_until=1.0)
    alter(db, overdue.id, deadline_at=1.0)
    with _seen(db) as statements:
        _duties(db)
    plans = [_plan(db, *seen) for seen in statements if not seen[0].startswith("BEGIN")]
    scans = ("SCAN jobs", "SCAN files", "Seq Scan on jobs", "Seq Scan on files")
    for plan in plans:
        assert not any(scan in plan and "COVERING INDEX ix_jobs_kind_state" not in plan for scan in scans), plan
    condition = "{}<" if db.is_sqlite else "{} <"
    for time in ("lease_until", "run_at", "deadline_at", "expires_at"):
        searches = [p for p in plans if condition.format(time) in p and ("SEARCH" in p or "Index Cond" in p)]
        assert searches, time


@pytest.mark.stack
def test_postgresql_searches_times_by_index(postgres_url: str) -> None:
    """A clock that changes within a statement would leave the times to a filter over all rows of a state."""
    db = Database(postgres_url)
    db.migrate()
    with _seen(db) as statements:
        _duties(db)
    plans = "\n".join(_plan(db, *seen) for seen in statements)
    conditions = [line for line in plans.splitlines() if "Index Cond" in line]
    db.close()
    for time in ("lease_until", "run_at", "deadline_at", "expires_at", "finished_at", "publish_at"):
        assert any(time in line for line in conditions), time
