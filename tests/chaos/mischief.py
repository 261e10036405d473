"""Kills a stack's processes at random, with -9."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from contextlib import suppress

import psutil
from redis.exceptions import RedisError

from saccade_core.queue import connect
from servers.stack import Stack, eventually

#: What is killed, and how often beside the others.
_WEIGHTS = {"child": 8, "worker": 4, "gateway": 3, "keeper": 3, "redis": 2}


class Mischief:
    """Kills something every ``pause_s`` seconds, more or less, from a thread of its own, between start and stop.

    Redis loses its data twice: ``FLUSHALL`` after a third of ``lasting_s``, and killed without its append-only
    file after two thirds. ``counts`` tells what was done.
    """

    def __init__(self, stack: Stack, *, lasting_s: float, pause_s: float, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._stack = stack
        self._pause_s = pause_s
        self._losses = [(lasting_s / 3, self._flush), (lasting_s * 2 / 3, self._lose_redis)]
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="mischief", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; raises what went wrong in the mischief itself."""
        self._stopped.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        spent = 0.0
        try:
            while not self._stopped.is_set():
                pause = self._random.uniform(0.5, 1.5) * self._pause_s
                self._stopped.wait(pause)
                spent += pause
                if self._losses and spent >= self._losses[0][0]:
                    self._losses.pop(0)[1]()
                else:
                    self._kill(self._random.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0])
        except Exception as error:  # noqa: BLE001 - raised again by stop()
            self._error = error

    def _kill(self, what: str) -> None:
        processes = self._stack.pids()
        workers = [name for name in processes if name.startswith("cpu-")]
        if what == "child":
            self.counts[what] += sum(self._kill_child(processes[name]) for name in self._some(workers))
        elif what == "worker":
            self.counts[what] += sum(self._kill_process(processes[name]) for name in self._some(workers))
        elif what in processes:
            self.counts[what] += self._kill_process(processes[what])

    def _some(self, names: list[str]) -> list[str]:
        return self._random.sample(names, min(1, len(names)))

    def _kill_child(self, worker: int) -> bool:
        return any(self._kill_process(pid) for pid in runners_of(worker))

    def _kill_process(self, pid: int) -> bool:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
            return True
        return False

    def _flush(self) -> None:
        self._when_redis_answers()
        with connect(redis_url(self._stack)) as client:
            client.flushall()
        self.counts["redis emptied"] += 1

    def _lose_redis(self) -> None:
        self._when_redis_answers()
        with connect(redis_url(self._stack)) as client:
            client.set("canary", "1")
        psutil.Process(self._stack.pids()["redis"]).kill()
        shutil.rmtree(self._stack.data_dir / "redis" / "appendonlydir", ignore_errors=True)
        self._when_redis_answers()
        with connect(redis_url(self._stack)) as client:
            assert not client.exists("canary"), "Redis kept its data"
        self.counts["redis lost its data"] += 1

    def _when_redis_answers(self) -> None:
        def answers() -> bool:
            with suppress(RedisError), connect(redis_url(self._stack)) as client:
                return bool(client.ping())
            return False

        eventually(answers, what="an answer of Redis")


def redis_url(stack: Stack) -> str:
    """Address of the stack's private Redis."""
    return f"redis+socket://{stack.data_dir}/redis/redis.sock"


def runners_of(worker: int) -> list[int]:
    """Ids of the processes in which a worker runs runners."""
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(worker).children()]
    return []
