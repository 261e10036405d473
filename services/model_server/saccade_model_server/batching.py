"""Dynamic batching: requests of one signature that wait at the same time become one run of it.

The settings have the names, and the meaning, of TensorFlow Serving's batching parameters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from saccade_model_server.errors import Code, ServingError
from saccade_model_server.settings import BatchingSettings
from saccade_model_server.tensors import Array

Arrays = Mapping[str, Array]
Call = Callable[[Arrays], dict[str, Array]]


@dataclass(slots=True)
class _Request:
    inputs: Arrays
    rows: int
    answer: asyncio.Future[dict[str, Array]]


class Batcher:
    """Runs ``call`` in ``executor`` for requests from one event loop, never with more than ``max_batch_size`` rows."""

    def __init__(self, call: Call, executor: Executor, settings: BatchingSettings) -> None:
        self._call = call
        self._executor = executor
        self._settings = settings
        self._waiting: deque[_Request] = deque()
        self._rows = 0
        self._full = asyncio.Event()
        self._runs: set[asyncio.Task[None]] = set()

    async def run(self, inputs: Arrays, rows: int) -> dict[str, Array]:
        """The outputs for ``inputs`` of ``rows`` rows. Raises ServingError, that of this request alone."""
        most = self._settings.max_batch_size
        if rows == 0:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, inputs)
        if rows <= most:
            return await self._queued(inputs, rows)
        pieces = [
            self._queued({key: array[at : at + most] for key, array in inputs.items()}, min(most, rows - at))
            for at in range(0, rows, most)
        ]
        return _joined(await asyncio.gather(*pieces))

    def _queued(self, inputs: Arrays, rows: int) -> asyncio.Future[dict[str, Array]]:
        most = self._settings.max_batch_size
        answer: asyncio.Future[dict[str, Array]] = asyncio.get_running_loop().create_future()
        if self._rows + rows > most * self._settings.max_enqueued_batches:
            answer.set_exception(ServingError(Code.UNAVAILABLE, "The batch scheduling queue is full"))
            return answer
        self._waiting.append(_Request(inputs, rows, answer))
        self._rows += rows
        if self._rows >= most:
            self._full.set()
        if len(self._runs) < self._settings.num_batch_threads:
            task = asyncio.create_task(self._work())
            self._runs.add(task)
            task.add_done_callback(self._runs.discard)
        return answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._wait_for_more()
            batch = self._take()
            if not batch:
                continue
            answers = await loop.run_in_executor(self._executor, _run, self._call, batch, self._settings.max_batch_size)
            for request, answer in zip(batch, answers, strict=True):
                if request.answer.done():  # its caller went away
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)

    async def _wait_for_more(self) -> None:
        if self._settings.batch_timeout_micros and self._rows < self._settings.max_batch_size:
            self._full.clear()
            try:
                async with asyncio.timeout(self._settings.batch_timeout_micros / 1e6):
                    await self._full.wait()
            except TimeoutError:
                pass

    def _take(self) -> list[_Request]:
        """The requests that wait longest, as many as fit."""
        batch: list[_Request] = []
        left = self._settings.max_batch_size
        while self._waiting and self._waiting[0].rows <= left:
            request = self._waiting.popleft()
            self._rows -= request.rows
            if not request.answer.done():
                batch.append(request)
                left -= request.rows
        return batch


def _run(call: Call, batch: Sequence[_Request], most: int) -> list[dict[str, Array] | Exception]:
    """Each request's answer, of one run; where that fails, of a run of each: one bad request fails alone."""
    try:
        rows = sum(request.rows for request in batch)
        found = call(_padded(batch, rows, min(most, 1 << (rows - 1).bit_length())))
        return _parts(found, batch)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        if len(batch) == 1:
            return [error]
    return [_run(call, [request], most)[0] for request in batch]


def _padded(batch: Sequence[_Request], rows: int, size: int) -> Arrays:
    """All requests' rows, and the last one again up to ``size``: only few different sizes are ever run."""
    if len(batch) == 1 and rows == size:
        return batch[0].inputs
    padded: dict[str, Array] = {}
    for key, array in batch[0].inputs.items():
        whole = np.empty((size, *array.shape[1:]), array.dtype)
        np.concatenate([request.inputs[key] for request in batch], out=whole[:rows])
        whole[rows:] = whole[rows - 1]
        padded[key] = whole
    return padded


def _parts(found: Arrays, batch: Sequence[_Request]) -> list[dict[str, Array] | Exception]:
    if any(len(array) < sum(request.rows for request in batch) for array in found.values()):
        raise ServingError(Code.INTERNAL, "The model's outputs have fewer rows than its inputs")
    parts: list[dict[str, Array] | Exception] = []
    at = 0
    for request in batch:
        parts.append({key: array[at : at + request.rows] for key, array in found.items()})
        at += request.rows
    return parts


def _joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
