"""Waiting for a job's end without asking all the time: one Redis subscription wakes whoever waits.

Redis is a courtesy here too: each waiter looks into the records when it is woken, and every second anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from saccade_core.live import DONE_CHANNEL
from saccade_core.records.lookups import JobWithArtifacts

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_PAUSE_S = 1.0


class Waiters:
    """All requests of this process that wait for jobs; ``run`` is the task that listens."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events: dict[str, set[asyncio.Event]] = {}

    def waiting(self) -> int:
        """For how many jobs somebody waits."""
        return len(self._events)

    async def run(self) -> None:
        """Listen for ended jobs until cancelled."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.info("ended jobs are not heard: %s", error)
            await asyncio.sleep(_PAUSE_S)

    async def until_final(
        self,
        job_id: str,
        seconds: float,
        read: Callable[[], Awaitable[JobWithArtifacts]],
        given_up: Callable[[], Awaitable[bool]],
    ) -> JobWithArtifacts:
        """The job as ``read`` gives it once it is final, or after ``seconds``, or when ``given_up()``."""
        end = asyncio.get_running_loop().time() + seconds
        event = asyncio.Event()
        self._events.setdefault(job_id, set()).add(event)
        try:
            while True:
                job = await read()
                left = end - asyncio.get_running_loop().time()
                if job.row.is_final or left <= 0 or await given_up():
                    return job
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, _LOOK_EVERY_S))
                event.clear()
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(DONE_CHANNEL)
            while True:
                message: dict[str, Any] | None = await channel.get_message(timeout=10.0)
                if message is not None:
                    for event in self._events.get(str(message["data"]), ()):
                        event.set()
