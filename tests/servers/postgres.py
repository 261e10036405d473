"""A private PostgreSQL server; as root it runs as the user ``postgres``, which it insists on."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from servers.process import Server, free_port, program

_PACKAGE = "postgresql"


class PostgresServer:
    """PostgreSQL (15 or later) on a TCP port of 127.0.0.1, without a password and without fsync."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="saccade-postgres-"))
        self._data = self._folder / "data"
        self._numbers = itertools.count(1)
        self.port = free_port()
        bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
        self._user = "postgres" if os.geteuid() == 0 else None
        self._initdb(program("initdb", _PACKAGE, *bins))
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        command = [program("postgres", _PACKAGE, *bins), "-D", str(self._data), *settings]
        self._server = Server(command, self._folder, "postgres", user=self._user)

    def _initdb(self, initdb: str) -> None:
        run_as: list[str] = []
        if self._user:
            shutil.chown(self._folder, self._user)
            run_as = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--init-groups"]
        options = ["-D", str(self._data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*run_as, initdb, *options], cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stderr[-2000:]}")

    @property
    def admin_url(self) -> str:
        """libpq URL of the database ``postgres``."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start (again) over the same data."""
        self._server.start(self._answers)

    def stop(self) -> None:
        """Fast shutdown: open sessions are ended."""
        self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """``kill -9`` of the postmaster."""
        self._server.kill()

    def close(self) -> None:
        """Stop and remove the data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def fresh_database(self) -> str:
        """SQLAlchemy URL of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.admin_url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False
