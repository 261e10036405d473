"""A private redis-server with the settings that Saccade asks for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from servers.process import Server, free_port, program


class RedisServer:
    """redis-server on a TCP port of 127.0.0.1 with AOF; ``kill``, ``start`` and ``lose_data`` for fault tests."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="saccade-redis-"))
        self.port = free_port()
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "databases": "1000",
        }
        settings = [part for key, value in options.items() for part in (f"--{key}", value)]
        self._server = Server([program("redis-server", "redis-server"), *settings], self._folder, "redis")

    def url(self, database: int = 0) -> str:
        """Address of one of its 1,000 databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start (again) over what the append-only file has."""
        self._server.start(self._answers)

    def stop(self) -> None:
        """Orderly end."""
        self._server.stop()

    def kill(self) -> None:
        """``kill -9``."""
        self._server.kill()

    def lose_data(self) -> None:
        """Remove the append-only files of a stopped server: the next start is empty."""
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)

    def close(self) -> None:
        """Stop and remove the data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with Redis(port=self.port, socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False
