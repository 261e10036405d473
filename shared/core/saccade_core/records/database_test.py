from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from saccade_core.errors import Unavailable
from saccade_core.records import leases
from saccade_core.records.database import Database, now
from saccade_core.records.lookups import get_job
from saccade_core.records.requests import accept
from saccade_core.records.tables import Base, JobReadRow
from servers.postgres import PostgresServer
from servers.records import PROJECT, accepted, new_job, record


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of records without any table."""
    postgres = request.param == "postgresql"
    return str(request.getfixturevalue("postgres_url")) if postgres else f"sqlite:///{tmp_path}/new/records.db"


def test_the_migrations_make_what_the_tables_say(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(db: Database) -> None:
    job = accepted(db)
    db.migrate()
    assert record(db, job.id).id == job.id


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    code = f"from saccade_core.records.database import Database; Database({empty_url!r}).migrate()"
    starting = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    ended = [(process.communicate()[1], process.returncode) for process in starting]
    assert [code for _, code in ended] == [0] * 4, ended
    db = Database(empty_url)
    assert accepted(db).attempt == 0
    db.close()


def test_the_clock_is_that_of_the_epoch(db: Database) -> None:
    with db.read() as session:
        first = session.execute(select(now())).scalar_one()
        second = session.execute(select(now())).scalar_one()
    assert first == pytest.approx(time.time(), abs=5.0)
    assert second >= first
    assert second % 1 != 0.0 or first % 1 != 0.0  # finer than seconds


def test_an_error_takes_the_transaction_back(db: Database) -> None:
    job = accepted(db)

    def change_and_fail() -> None:
        with db.write() as session:
            session.execute(text("DELETE FROM jobs"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert record(db, job.id).id == job.id


def test_a_read_keeps_nothing(db: Database) -> None:
    job = accepted(db)
    with db.read() as session:
        session.execute(text("DELETE FROM jobs"))
    assert record(db, job.id).id == job.id


def test_writers_of_sqlite_wait_for_each_other(sqlite_db: Database) -> None:
    with sqlite_db.engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS}
    assert pragmas == _PRAGMAS
    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(accepted, repeat(sqlite_db, 64)))
    assert len({row.id for row in rows}) == 64


_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30000, "foreign_keys": 1}


def test_a_database_that_is_not_there_is_unavailable() -> None:
    nowhere = Database("postgresql+psycopg://postgres@127.0.0.1:1/nothing")
    for call in (nowhere.check, nowhere.migrate, lambda: accept(nowhere, new_job())):
        with pytest.raises(Unavailable):
            call()
    nowhere.close()


@pytest.mark.stack
def test_a_database_that_goes_away_and_comes_back(postgres_server: PostgresServer, postgres_url: str) -> None:
    db = Database(postgres_url)
    db.migrate()
    job = accepted(db)
    try:
        postgres_server.kill()
        for call in (
            db.check,
            lambda: accept(db, new_job()),
            lambda: get_job(db, PROJECT, job.id),
            lambda: leases.claim(db, job.id, "worker"),
        ):
            with pytest.raises(Unavailable):
                call()
    finally:
        postgres_server.start()
    assert leases.claim(db, job.id, "worker") is not None
    db.close()


@pytest.mark.stack
def test_a_connection_that_is_cut_within_a_transaction_is_unavailable(postgres_url: str) -> None:
    db = Database(postgres_url)
    db.migrate()

    def write_while_cut() -> None:
        with db.write() as session:
            backend = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with db.write() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
            session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        write_while_cut()
    assert accepted(db).attempt == 0
    db.close()


def test_errors_do_not_show_what_was_to_be_stored(db: Database) -> None:
    job = accepted(db)
    with pytest.raises(IntegrityError) as caught, db.write() as session:
        session.execute(insert(JobReadRow), [{"job_id": job.id, "read_id": "secret-of-a-user"}] * 2)
    assert "parameters hidden" in str(caught.value)


@pytest.mark.stack
def test_a_migration_leaves_no_lock(postgres_url: str) -> None:
    db = Database(postgres_url)
    db.migrate()
    with db.read() as session:
        held = session.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()
        limit = session.execute(text("SHOW statement_timeout")).scalar_one()
    db.close()
    assert (held, limit) == (0, "30s")
