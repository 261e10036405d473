"""What the gateway asks of the model server: whether a version is loaded, and what it predicts."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from saccade_core.blobs import Blobs
from saccade_core.errors import EngineFailed, NotServable, StorageFailed, Unavailable, UnknownModel
from saccade_core.records import models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.trained import Wanted, served_name
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.serving.client import Prediction, ServingClient, VersionState, float32_bytes
from saccade_models.serving.preprocess import read_preprocess
from saccade_models.tables.encode import TableInput

#: A version that is asked for stays loaded for an hour after it was last wanted; that is noted this often.
_WANT_EVERY_S = 60.0
_LOOK_EVERY_S = 0.2
#: Calls that block at once, and how long the next one waits for its turn.
_THREADS = 16
_BUSY_S = 2.0
#: Requests that wait for a version to be loaded; they hold no thread.
_MOST_WAITING = 64
_KEPT = 200
_MOST_PREPROCESS = 16 << 20

P = ParamSpec("P")
T = TypeVar("T")


class Serving:
    """Calls the model server for one gateway. What blocks runs in threads of its own, by ``call``."""

    def __init__(self, address: str | None, db: Database, blobs: Blobs) -> None:
        self._client = ServingClient(address) if address else None
        self._db = db
        self._blobs = blobs
        self._wanted_at: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._entry = anyio.Semaphore(_THREADS)
        self._waiting = anyio.Semaphore(_MOST_WAITING)
        self._read = lru_cache(maxsize=_KEPT)(self._read_preprocess)

    def close(self) -> None:
        """End the connection."""
        if self._client:
            self._client.close()

    def preprocess(self, row: ModelVersionRow) -> TableInput | PictureInput:
        """How the version's inputs are made; kept, as a version never changes. It blocks.

        Raises NotServable, StorageFailed.
        """
        path = (row.roles or {}).get("preprocess")
        file = (row.files or {}).get(path or "")
        if file is None or file["bytes"] > _MOST_PREPROCESS:
            raise NotServable(
                f"{row.name}@{row.version} does not say how its inputs are made.", field="version", received=row.version
            )
        return self._read(file["key"], file["bytes"], file["sha256"])

    async def call(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what blocks in one of the threads for predictions: they may be slow, and the records' threads are for
        all requests. Raises Unavailable where all stay busy."""
        entered = False
        with anyio.move_on_after(_BUSY_S):
            await self._entry.acquire()
            entered = True
        if not entered:
            raise Unavailable("Too many predictions are asked for at this moment.")
        try:
            return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._threads)
        finally:
            self._entry.release()

    async def predict(
        self, row: ModelVersionRow, rows: Sequence[Sequence[float]], shape: Sequence[int], wait_s: float
    ) -> list[list[float]]:
        """The version's outputs, (N, outputs), for the numbers ``rows`` of ``shape``, N first.

        Where the version is not loaded, it is asked for and waited for, ``wait_s`` seconds at most. Raises Unavailable,
        NotServable, InvalidRequest, InputTooLarge, EngineFailed.
        """
        client = self._server()
        name = served_name(row.project, row.name)
        data = float32_bytes(rows)

        def ask() -> Prediction:
            self._want_now_and_then(row)
            return client.predict(name, data, shape, version=row.version)

        for _ in range(2):
            try:
                found = await self.call(ask)
            except UnknownModel:
                await self.wait_available(row, wait_s)
                continue
            if not found.shape or found.shape[0] != shape[0]:
                raise EngineFailed("The model's outputs are not one for each row.")
            return await self.call(found.rows)
        raise _not_yet(row)

    async def wait_available(self, row: ModelVersionRow, wait_s: float) -> None:
        """Have the version loaded, and return once it answers; at once where no model server is set up.

        Raises Unavailable where it does not within ``wait_s`` seconds, and NotServable where the model server
        cannot load it.
        """
        client = self._client
        if client is None:
            return
        limit = time.monotonic() + wait_s
        try:
            self._waiting.acquire_nowait()
        except anyio.WouldBlock:
            raise Unavailable("Too many requests wait for models to be loaded.") from None
        try:
            await self.call(models.want, self._db, row.project, row.name, row.version)
            while not await self.call(self._is_available, client, row):
                if time.monotonic() >= limit:
                    raise _not_yet(row)
                await anyio.sleep(_LOOK_EVERY_S)
        finally:
            self._waiting.release()

    def _is_available(self, client: ServingClient, row: ModelVersionRow) -> bool:
        states = {each.version: each.state for each in client.status(served_name(row.project, row.name))}
        if states.get(row.version) is VersionState.AVAILABLE:
            return True
        now = models.find(self._db, row.project, Wanted(row.name, version=row.version))
        if now.serving == "failed":
            raise NotServable(
                f"The model server cannot load {row.name}@{row.version}: {now.serving_error}",
                field="version",
                received=row.version,
            )
        return False

    def _server(self) -> ServingClient:
        if self._client is None:
            raise Unavailable("No model server is set up: SACCADE_SERVING_URL names one.")
        return self._client

    def _want_now_and_then(self, row: ModelVersionRow) -> None:
        place, now = (served_name(row.project, row.name), row.version), time.monotonic()
        with self._lock:
            if now - self._wanted_at.get(place, -_WANT_EVERY_S) < _WANT_EVERY_S:
                return
            if len(self._wanted_at) >= _KEPT:
                self._wanted_at.clear()
            self._wanted_at[place] = now
        models.want(self._db, row.project, row.name, row.version)

    def _read_preprocess(self, key: str, size: int, sha256: str) -> TableInput | PictureInput:
        data = self._blobs.get_range(key, 0, size)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StorageFailed("The model's preprocess.json is not what was registered.")
        return read_preprocess(data)


def _not_yet(row: ModelVersionRow) -> Unavailable:
    return Unavailable(f"The model server has not loaded {row.name}@{row.version} yet.")
