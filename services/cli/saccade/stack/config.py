"""What one embedded stack is: its address, its data folder and its processes, as data."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from saccade.stack.errors import StackError
from saccade_core.kind import POOLS, Pool
from saccade_kinds import registry

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
class Workers:
    """How many worker processes each pool has: for inference, and for training."""

    infer: Mapping[Pool, int]
    train: Mapping[Pool, int]

    @property
    def queues(self) -> set[str]:
        """The queues that they look at: ``cpu``, ``keras.train``."""
        infer = {str(pool) for pool, count in self.infer.items() if count}
        return infer | {f"{pool}.train" for pool, count in self.train.items() if count}


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One stack: where it listens, where its data is, how many workers each pool has."""

    host: str
    port: int
    data: Path
    workers: Workers

    @property
    def pools(self) -> list[Pool]:
        """The pools that have workers."""
        return [pool for pool in POOLS if {pool, f"{pool}.train"} & self.workers.queues]

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


def parse_workers(text: str | None) -> Workers:
    """``cpu=2,keras=1,keras.train=1`` as numbers by pool; without text, a cpu worker for each core, four at most.

    A pool that has workers and kinds that train gets one training worker, unless the text says how many.
    """
    if text is None:
        return Workers({"cpu": min(len(os.sched_getaffinity(0)), _MOST_CPU_WORKERS)}, {})
    infer: dict[Pool, int] = {}
    train: dict[Pool, int] = {}
    trainers = _pools_that_train()
    named: dict[str, tuple[dict[Pool, int], Pool]] = {pool: (infer, pool) for pool in POOLS}
    named |= {f"{pool}.train": (train, pool) for pool in trainers}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        numbers, pool = named.get(name, ({}, "cpu"))
        if name not in named or not count.isdecimal() or pool in numbers:
            raise ValueError(f"{part!r} is not POOL=NUMBER with a pool of {', '.join(named)}, each once.")
        numbers[pool] = int(count)
    unsaid: dict[Pool, int] = {pool: 1 for pool in trainers if infer.get(pool)}
    return Workers(infer, unsaid | train)


def _pools_that_train() -> list[Pool]:
    found = {pool for kind in registry.kinds().values() if kind.train for pool in kind.pools}
    return [pool for pool in POOLS if pool in found]


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
    env, serving = _serving(config, pythons, env)
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
        *serving,
        *_workers(config, pythons, env),
    ]


def _serving(
    config: StackConfig, pythons: Mapping[Pool, Path], env: Mapping[str, str]
) -> tuple[dict[str, str], list[Program]]:
    """The model server, and the environment with its address, where there are workers with TensorFlow; nothing where
    the environment names a server already."""
    if "keras" not in config.pools or env.get("SACCADE_SERVING_URL"):
        return dict(env), []
    port, rest_port, folder = free_port(), free_port(), config.data / "serving"
    found = {**env, "SACCADE_SERVING_URL": f"127.0.0.1:{port}", "SACCADE_SERVING_DIR": str(folder)}
    ports = ("--port", str(port), "--rest-port", str(rest_port))
    command = (str(pythons["keras"]), "-m", "saccade_model_server", *ports, "--models-dir", str(folder))
    return found, [Program(name="model-server", argv=command, env=found, stop_order=1)]


def _workers(config: StackConfig, pythons: Mapping[Pool, Path], env: Mapping[str, str]) -> Iterator[Program]:
    for numbers, what, options in ((config.workers.infer, "", ()), (config.workers.train, "-train", ("--train",))):
        for pool, count in numbers.items():
            for number in range(1, count + 1):
                name = f"{pool}{what}-{number}"
                command = (str(pythons[pool]), "-m", "saccade_worker", "--pool", pool, "--name", name, *options)
                # A worker finishes its job or hands it back in less.
                yield Program(name=name, argv=command, env=env, stop_order=1, grace_s=20.0)


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
