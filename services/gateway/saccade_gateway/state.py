"""What one gateway process holds open, and how routes get at it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ParamSpec, TypeVar

import anyio.to_thread
from fastapi import Depends, Request
from redis.asyncio import Redis

from saccade_core.blobs import Blobs
from saccade_core.errors import StorageFailed
from saccade_core.records.database import Database
from saccade_gateway.announcing import Announcer
from saccade_gateway.auth import Authenticator
from saccade_gateway.metrics import Metrics
from saccade_gateway.serving import Serving
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.staffing import Staffing
from saccade_gateway.waiting import Waiters

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Gateway:
    """The open connections of one gateway process."""

    settings: GatewaySettings
    db: Database
    blobs: Blobs
    announcer: Announcer
    redis: Redis
    waiters: Waiters
    authenticator: Authenticator
    metrics: Metrics
    staffing: Staffing
    serving: Serving
    stopping: bool = field(default=False)
    """Set when the process was asked to end: what waits for long answers what it has."""

    def remove_bytes(self, remove: Callable[[], object]) -> None:
        """Remove bytes that no record names any more; where that fails, the keeper does it later."""
        try:
            remove()
        except StorageFailed as error:
            log.warning("bytes without a record stay for the keeper: %s", error.message)


def _gateway(request: Request) -> Gateway:
    return request.app.state.gateway


Here = Annotated[Gateway, Depends(_gateway)]


async def in_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks (the database, deletions in the object store) in a thread."""
    return await anyio.to_thread.run_sync(lambda: call(*args, **kwargs))
