"""The Celery worker around one Host: it consumes ids and hands them to ``execute``.

One process consumes with Celery's ``solo`` pool and keeps one child that runs the runners
(docs/decisions/0005-a-child-of-our-own.md tells why not Celery's own children).
"""

from __future__ import annotations

import os
import socket
from typing import Any

from celery import Celery, signals

from saccade_core.kind import Pool
from saccade_core.queue import TASK, celery_app
from saccade_worker.device import device_of
from saccade_worker.execute import execute
from saccade_worker.host import Host
from saccade_worker.settings import WorkerSettings


def queues_of(pool: Pool, *, train: bool) -> str:
    """The queues of a worker: training never shares a process with inference."""
    return f"{pool}.train" if train else f"{pool},{pool}.bulk"


def run_worker(settings: WorkerSettings, pool: Pool, *, train: bool, name: str) -> None:
    """Consume until SIGTERM or SIGINT: then the running job ends or is handed back, and the process stops."""
    queues = queues_of(pool, train=train)
    worker_id = f"{name}@{socket.gethostname()}:{os.getpid()}"
    host = Host(settings, pool=pool, queues=queues, worker_id=worker_id, device=device_of(pool))
    app = _app_for(host)
    host.start()
    try:
        options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
        app.worker_main(["worker", *options, f"--queues={queues}", f"--hostname={name}@%h"])
    finally:
        host.close()


def _app_for(host: Host) -> Celery:
    app = celery_app(host.settings.redis_url)

    @app.task(name=TASK)
    def run_job(job_id: str) -> None:
        execute(host, job_id)

    @signals.worker_shutting_down.connect(weak=False)
    def drain(**_: Any) -> None:
        host.drain()

    del run_job, drain
    return app
