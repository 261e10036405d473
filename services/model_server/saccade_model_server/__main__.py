"""``python -m saccade_model_server``: serve SavedModels over gRPC and REST until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

import tensorflow as tf
import uvicorn

from saccade_model_server.grpc_api import make_server
from saccade_model_server.rest_api import make_app
from saccade_model_server.service import Service
from saccade_model_server.settings import ModelServerSettings

log = logging.getLogger(__name__)

#: On SIGTERM, requests under way get this long.
_GRACE_S = 5


class _Rest(uvicorn.Server):
    """Signals are for the whole process, not for its REST half."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(settings: ModelServerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = Service(settings)
    server = make_server(service)
    port = server.add_insecure_port(f"{settings.host}:{settings.port}")
    await server.start()
    config = uvicorn.Config(
        make_app(service),
        host=settings.host,
        port=settings.rest_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    rest = _Rest(config)
    looking = asyncio.create_task(service.servables.run(settings.file_system_poll_wait_seconds))
    serving = asyncio.create_task(rest.serve())
    stopped = asyncio.create_task(stop.wait())
    log.info(
        "gRPC on %s:%d, REST on port %d, models below %s", settings.host, port, settings.rest_port, settings.models_dir
    )
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    rest.should_exit = True
    await server.stop(_GRACE_S)
    await serving
    for task in (looking, stopped):
        task.cancel()
    service.close()


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, prepare TensorFlow, serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="saccade_model_server", description="TensorFlow Serving's protocol")
    parser.add_argument("--host", help="address to listen on (SACCADE_MODEL_SERVER_HOST)")
    parser.add_argument("--port", type=int, help="port of gRPC (SACCADE_MODEL_SERVER_PORT)")
    parser.add_argument("--rest-port", type=int, help="port of REST (SACCADE_MODEL_SERVER_REST_PORT)")
    parser.add_argument("--models-dir", type=Path, help="folder that models are in (SACCADE_MODEL_SERVER_MODELS_DIR)")
    parser.add_argument("--max-batch-size", type=int, help="most rows of one run (SACCADE_MODEL_SERVER_MAX_BATCH_SIZE)")
    given: dict[str, Any] = {
        key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None
    }
    settings = ModelServerSettings(**given)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # others use it too
    if settings.tensorflow_threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.tensorflow_threads)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
