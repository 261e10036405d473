"""A real model server in a process of its own; and a keeper that brings it models."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from saccade_core.errors import Unavailable
from saccade_models.serving.client import ServingClient
from servers.process import Server, free_port


@dataclass(frozen=True, slots=True)
class Running:
    """A server: its gRPC address, its REST address, and the folder that models must be in."""

    address: str
    rest: str
    models: Path


@contextmanager
def running_server(models: Path, *options: str, python: Path | str = sys.executable) -> Generator[Running]:
    """A model server until the end of the block; ``python`` is one that has TensorFlow."""
    port, rest_port = free_port(), free_port()
    ports = ["--port", str(port), "--rest-port", str(rest_port)]
    command = [str(python), "-m", "saccade_model_server", *ports, "--models-dir", str(models), *options]
    server = Server(command, models, "model-server")
    client = ServingClient(f"127.0.0.1:{port}")

    def answers() -> bool:
        try:
            return client.status("nothing", timeout_s=2) == []
        except Unavailable:
            return False

    try:
        server.start(answers)
        yield Running(f"127.0.0.1:{port}", f"http://127.0.0.1:{rest_port}", models)
    finally:
        client.close()
        server.stop()


@contextmanager
def running_keeper(server: Running, database_url: str, blobs_url: str, redis_url: str, folder: Path) -> Generator[None]:
    """A keeper until the end of the block, which brings ``server`` what the records say."""
    env = {
        "SACCADE_DATABASE_URL": database_url,
        "SACCADE_BLOBS_URL": blobs_url,
        "SACCADE_REDIS_URL": redis_url,
        "SACCADE_SERVING_URL": server.address,
        "SACCADE_SERVING_DIR": str(server.models),
    }
    keeper = Server([sys.executable, "-m", "saccade_keeper"], folder, "keeper", env=env)
    try:
        keeper.start(lambda: True)
        yield
    finally:
        keeper.stop()
