"""What one embedded stack is: its address, its data folder and its processes, as data."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from saccade.stack.errors import StackError
from saccade_core.kind import POOLS, Pool

#: A Unix socket's path may have 107 bytes; one with other characters would have to be quoted in its URL.
_SOCKET_PATH = re.compile(r"[A-Za-z0-9/._-]{1,100}")
_MOST_CPU_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep alive. Those of a lower ``stop_order`` are stopped first; ``ready`` tells whether the
    programs after it may start; after ``grace_s`` a process that was asked to stop is killed."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop_order: int = 0
    grace_s: float = 10.0
    ready: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One stack: where it listens, where its data is, how many workers each pool has."""

    host: str
    port: int
    data: Path
    workers: Mapping[Pool, int]

    @property
    def url(self) -> str:
        """The API's address as this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - the whole network is told apart
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the records."""
        return database_url(self.data)

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        return self.data / "logs"


def database_url(data: Path) -> str:
    """SQLAlchemy URL of the records in a data folder."""
    return f"sqlite:///{data}/saccade.db"


def parse_workers(text: str | None) -> dict[Pool, int]:
    """``cpu=2,torch=1`` as numbers by pool; without text, a cpu worker for each core, four at most."""
    if text is None:
        return {"cpu": min(len(os.sched_getaffinity(0)), _MOST_CPU_WORKERS)}
    found: dict[Pool, int] = {}
    by_name: dict[str, Pool] = {pool: pool for pool in POOLS}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        pool = by_name.get(name)
        if pool is None or not count.isdecimal() or pool in found:
            raise ValueError(f"{part!r} is not POOL=NUMBER with a pool of {', '.join(POOLS)}, each once.")
        found[pool] = int(count)
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket(_family(host)) as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


def check_port(host: str, port: int) -> None:
    """StackError unless this process could listen there."""
    try:
        with socket.socket(_family(host)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StackError(f"Cannot listen on {host}, port {port}: {reason}. Choose another with --port.") from None


def programs(config: StackConfig, pythons: Mapping[Pool, Path]) -> list[Program]:
    """The stack's processes, in the order of their start; writes redis-server's configuration."""
    redis_url = _configure_redis(config.data / "redis")
    # Without byte code on the disk, every start of a process compiles all that it imports: five seconds.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {
        **inherited,
        "SACCADE_DATABASE_URL": config.database_url,
        "SACCADE_REDIS_URL": redis_url,
        "SACCADE_BLOBS_URL": f"file:{config.data}/blobs",
        "SACCADE_SCRATCH_DIR": f"{config.data}/scratch",
        "PYTHONUNBUFFERED": "1",
    }
    here = sys.executable
    return [
        Program(
            name="redis",
            argv=(redis_server(), str(config.data / "redis" / "redis.conf")),
            env=env,
            stop_order=3,
            ready=lambda: _answers(redis_url),
        ),
        Program(
            name="gateway",
            argv=(here, "-m", "saccade_gateway", "--host", config.host, "--port", str(config.port)),
            env=env,
            stop_order=0,
            grace_s=15.0,  # it gives requests under way 10 s, and then closes in order
        ),
        Program(name="keeper", argv=(here, "-m", "saccade_keeper"), env=env, stop_order=2),
        *(
            Program(
                name=f"{pool}-{number}",
                argv=(str(pythons[pool]), "-m", "saccade_worker", "--pool", pool, "--name", f"{pool}-{number}"),
                env=env,
                stop_order=1,
                grace_s=20.0,  # a worker finishes its job or hands it back in less
            )
            for pool, count in config.workers.items()
            for number in range(1, count + 1)
        ),
    ]


def redis_server() -> str:
    """Path of redis-server; StackError with the command that brings it."""
    found = shutil.which("redis-server", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin"]))
    if found is None:
        raise StackError("redis-server is not installed: apt-get install redis-server")
    return found


def _configure_redis(folder: Path) -> str:
    """Write ``redis.conf`` into its data folder; the server's URL."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "redis.sock"
    if _SOCKET_PATH.fullmatch(str(path)):
        url = f"redis+socket://{path}"
        listen = ["port 0", f"unixsocket {path}", "unixsocketperm 700"]
    else:
        port, password = free_port(), secrets.token_urlsafe(24)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        listen = ["bind 127.0.0.1", f"port {port}", f"requirepass {password}"]
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    kept = [f'dir "{quoted}"', 'save ""', "appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"]
    file = folder / "redis.conf"
    file.touch(mode=0o600)
    file.write_text("\n".join([*listen, *kept, "daemonize no", ""]), "utf-8")
    return url


def _answers(redis_url: str) -> bool:
    from redis.exceptions import RedisError

    from saccade_core.queue import connect  # brings Celery, which no other command needs

    try:
        with connect(redis_url) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
