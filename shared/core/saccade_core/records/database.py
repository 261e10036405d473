"""The connection to the records: SQLite in WAL mode or PostgreSQL, chosen by the URL."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Select, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql import expression
from sqlalchemy.types import Float

from saccade_core.errors import Unavailable

log = logging.getLogger(__name__)


class now(expression.FunctionElement[float]):  # noqa: N801 - written like the SQL function it is
    """Seconds since the epoch by the database's own clock, so that hosts with wrong clocks agree on leases.

    The same throughout a statement: an index serves ``column < now()`` only then.
    """

    type = Float(53)
    inherit_cache = True
    name = "saccade_now"


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: Any, **_kw: Any) -> str:
    return "extract(epoch from statement_timestamp())::float8"


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: Any, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Database:
    """Sessions on the records; every failure to reach the server becomes errors.Unavailable (503, retryable)."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(url) if self.is_sqlite else _postgresql(url)

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session for reading; nothing it changes is kept."""
        with self._session(write=False) as session:
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A session in one transaction, committed at the end of the block and rolled back on an error."""
        with self._session(write=True) as session:
            yield session
            session.commit()

    def has(self, query: Select[Any]) -> bool:
        """Whether the query finds a row; a look before a write, as SQLite has one writer at a time."""
        with self.read() as session:
            return session.execute(query.limit(1)).first() is not None

    def insert(self, table: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that takes ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def check(self) -> None:
        """Raise errors.Unavailable unless the server answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Bring the schema up to this version of the code; one process at a time, at its start."""
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", "saccade_core:migrations")
        with _answering(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(7228332)"))  # any number of our own
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _session(self, *, write: bool) -> Generator[Session]:
        with _answering(), self.engine.connect().execution_options(saccade_write=write) as connection:
            # No statement here relies on what the session loaded before, so it need not be brought up to date.
            options = {"synchronize_session": False}
            with Session(connection, expire_on_commit=False, execution_options=options) as session:
                yield session


@contextmanager
def _answering() -> Generator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        log.warning("database: %s", error)
        raise Unavailable("The records' database does not answer; try again soon.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The records' database closed the connection; try again soon.") from error
        raise


def _postgresql(url: str) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,  # errors are logged, and parameters are users' data
        pool_size=10,
        max_overflow=20,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "options": "-c statement_timeout=30000 -c lock_timeout=20000",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20000,
        },
    )


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, pool_size=10, max_overflow=30, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where _begin says
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: upgrading a read lock fails without waiting when another writes.
        writes = connection.get_execution_options().get("saccade_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    del _pragmas, _begin
    return engine
