"""A no-op Celery task with two worker processes: what the queue itself can do on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import redis
from celery import Celery

from saccade_core.queue import connect

app = Celery("bare", broker=os.environ.get("BARE_REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, task_acks_late=True)


@app.task(name="bare.noop")
def noop(number: int) -> None:
    """Count, so that the end is seen."""
    _client().incr("bare:done")
    del number


def _client() -> redis.Redis:
    return connect(os.environ["BARE_REDIS_URL"])


def tasks_per_second(redis_url: str, count: int = 2000) -> float:
    """Finished no-op tasks per second, two one-slot workers, all published beforehand."""
    env = {**os.environ, "BARE_REDIS_URL": redis_url}
    os.environ["BARE_REDIS_URL"] = redis_url
    app.conf.update(broker_url=redis_url)
    client = _client()
    options = ["--pool=prefork", "--concurrency=1", "--loglevel=ERROR", "--without-gossip", "--without-mingle"]
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.bare_celery", "worker", *options]
    workers = [
        subprocess.Popen([*command, f"--hostname=bare{n}@%h"], env=env, stdout=subprocess.DEVNULL) for n in range(2)
    ]
    try:
        for number in range(20):  # both are up once some are done
            noop.delay(number)
        _until(client, 20)
        time.sleep(3)
        client.set("bare:done", 0)
        for worker in workers:
            os.kill(worker.pid, 19)  # SIGSTOP: publish first, then let them run
        for number in range(count):
            noop.delay(number)
        started = time.perf_counter()
        for worker in workers:
            os.kill(worker.pid, 18)  # SIGCONT
        _until(client, count)
        return count / (time.perf_counter() - started)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(timeout=30)


def _until(client: redis.Redis, count: int) -> None:
    while int(client.get("bare:done") or 0) < count:
        time.sleep(0.005)
