"""For tests: a real gateway in a thread, on a free port, with SQLite and a local folder; by default without Redis."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from saccade_core.ids import folder_of
from saccade_core.records import keys, leases
from saccade_core.records.database import Database
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.tables import JobRow
from saccade_gateway.app import create_app
from saccade_gateway.settings import GatewaySettings

#: Nothing listens there: publishing and live events fail, and no request may fail by it.
NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass
class Served:
    """A running gateway, and what a test needs to look behind it."""

    url: str
    settings: GatewaySettings
    db: Database
    app: Any

    def client(self, secret: str | None = None, **options: Any) -> httpx.Client:
        """A client of the API, with a key or without."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def key(self, role: str = "admin", project: str = "default") -> str:
        """A new key's secret."""
        return keys.make_key(self.db, project=project, role=role)[1]

    def claim(self, job_id: str) -> JobRow:
        """Take a job as a worker does."""
        row = leases.claim(self.db, job_id, "worker-1")
        if row is None:
            raise LookupError(f"{job_id} is not to be claimed")
        return row

    def finish(self, job_id: str, artifacts: dict[str, bytes] | None = None) -> None:
        """Run a job as a worker does, with these artefacts."""
        row = self.claim(job_id)
        stored: list[StoredArtifact] = []
        for name, data in (artifacts or {}).items():
            key = f"{folder_of(job_id)}{row.token}/{name}"
            kept = self.app.state.gateway.blobs.put_bytes(key, data, "image/png")
            stored.append(StoredArtifact(name, "image/png", kept.bytes, kept.sha256, key))
        leases.succeed(
            self.db,
            job_id,
            row.token,
            result={"width": 2, "height": 1, "channels": 3},
            artifacts=stored,
            provenance={"code_version": "1", "params_digest": "x", "device": "cpu"},
            progress={"fraction": 1.0, "stage": "done", "done": 1, "total": 1},
        )


Serve = Callable[..., AbstractContextManager[Served]]


@contextmanager
def running(settings: GatewaySettings) -> Generator[Served]:
    """Serve with ``settings`` until the end of the block."""
    app = create_app(settings)
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    db = Database(settings.database_url)
    try:
        limit = time.monotonic() + 20
        while not server.started:
            if not thread.is_alive() or time.monotonic() > limit:
                raise RuntimeError("The gateway did not start.")
            time.sleep(0.005)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", settings, db, app)
    finally:
        if hasattr(app.state, "gateway"):
            app.state.gateway.stopping = True
        server.should_exit = True
        thread.join(20)
        db.close()
        listener.close()


def image_request(**more: Any) -> dict[str, Any]:
    """The smallest request that works."""
    return {"kind": "edit_image", "inputs": {"image": PNG_URI}, **more}


#: 1 x 1 pixel.
PNG_URI = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
