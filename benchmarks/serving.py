"""Predictions through the model server, one client and 32, beside bare loops of the same network.

``python -m benchmarks.serving`` measures this alone. The clients are processes of their own: Python's threads would
measure each other.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.report import table
from saccade_models.serving.client import ServedModel, ServingClient
from servers.model_server import running_server
from servers.stack import Stack, keras_python

_SHAPE = (28, 28, 1)
_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Served:
    """Predictions per second, and the times of single requests in milliseconds: half, and 99 of 100, are faster."""

    rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Serving:
    """Single images per second of each way; ``function_32`` and ``onnx_32`` with batches of 32."""

    predict: float
    function: float
    onnx: float
    function_32: float
    onnx_32: float
    one_client: Served
    clients_32: Served
    rows_32: Served


def measure(seconds: float = 5.0) -> Serving:
    """All ways, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = Path(__file__).with_name("bare_keras.py")
        command = [str(keras_python()), str(script), str(folder), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        bare: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        assert bare.pop("parameters") == 57_562
        with running_server(folder, python=keras_python()) as server:
            client = ServingClient(server.address)
            client.reload([ServedModel("cnn", str(folder / "cnn"), [1])])
            client.close()
            _ask(server.address, 32, 1, 1.0)  # what is compiled for each size of a batch is not counted
            return Serving(
                **bare,
                one_client=_ask(server.address, 1, 1, seconds),
                clients_32=_ask(server.address, 32, 1, seconds),
                rows_32=_ask(server.address, 1, 32, seconds),
            )


def section(_: Stack) -> str:
    """The measurement as Markdown."""
    found = measure()
    rows = [
        ["`model.predict` in a loop", f"{found.predict:.0f}", "", "", "1"],
        *(
            [
                name,
                f"{served.rate:.0f}",
                f"{served.p50_ms:.1f}",
                f"{served.p99_ms:.1f}",
                f"{served.rate / found.predict:.0f}",
            ]
            for name, served in (
                ("model server, 1 client", found.one_client),
                ("model server, 32 clients", found.clients_32),
                ("model server, 1 client, 32 images a request", found.rows_32),
            )
        ),
        *(
            [name, f"{rate:.0f}", "", "", f"{rate / found.predict:.0f}"]
            for name, rate in (
                ("bare `tf.function`", found.function),
                ("bare ONNX Runtime, 1 thread", found.onnx),
                ("bare `tf.function`, batches of 32", found.function_32),
                ("bare ONNX Runtime, batches of 32, 1 thread", found.onnx_32),
            )
        ),
    ]
    header = ["28x28 grey images, 57,562 parameters", "images/s", "p50, ms", "p99, ms", "times `model.predict`"]
    return table("Predictions", header, rows, "Clients ask over gRPC, on the same cores, with one image a request.")


def _ask(address: str, clients: int, rows: int, seconds: float) -> Served:
    """``clients`` ask as fast as they are answered, with ``rows`` images a request."""
    processes = min(_PROCESSES, clients)
    work = partial(_client_process, address, clients // processes, rows, seconds)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        times = np.sort([took for part in pool.map(work, range(processes)) for took in part])
    return Served(
        rate=float(
            rows * clients * len(times) / times.sum()
        ),  # each client waits for its answers, and does nothing else
        p50_ms=float(1000 * np.quantile(times, 0.5)),
        p99_ms=float(1000 * np.quantile(times, 0.99)),
    )


def _client_process(address: str, threads: int, rows: int, seconds: float, seed: int) -> list[float]:
    client = ServingClient(address)
    data = np.random.default_rng(seed).random((rows, *_SHAPE), np.float32).tobytes()

    def ask(_: int) -> list[float]:
        client.predict("cnn", data, (rows, *_SHAPE))
        times: list[float] = []
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            client.predict("cnn", data, (rows, *_SHAPE))
            times.append(time.perf_counter() - started)
        return times

    with ThreadPoolExecutor(threads) as pool:
        found: Sequence[list[float]] = list(pool.map(ask, range(threads)))
    client.close()
    return [took for times in found for took in times]


if __name__ == "__main__":
    print(measure())
