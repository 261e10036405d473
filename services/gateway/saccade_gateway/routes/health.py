"""``/livez``, ``/readyz``, ``/metrics``: for orchestrators and monitoring; ``/`` for people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.responses import RedirectResponse, Response

from saccade_core.errors import SaccadeError
from saccade_gateway.access import Reader
from saccade_gateway.problems import RETRY_AFTER_S
from saccade_gateway.state import Gateway, Here, in_thread

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)

_LIMIT_S = 3.0
#: A server that hangs holds these threads, and none of those that answer requests.
_threads = anyio.CapacityLimiter(4)

Health = Literal["up", "down"]


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["up"] = "up"


class Readiness(BaseModel):
    """Whether requests can be served; without the queue they are accepted all the same, and start a little later."""

    status: Literal["ready", "degraded", "unavailable"]
    database: Health
    object_store: Health
    queue: Health


@router.get("/", include_in_schema=False)
async def to_docs() -> RedirectResponse:
    """A browser's way in."""
    return RedirectResponse("/docs")


@router.get("/livez")
async def livez() -> Liveness:
    """The process is alive; nothing else is asked."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(here: Here) -> Response:
    """Whether database and object store answer."""
    database = await _answers("database", here.db.check)
    object_store = await _answers("object store", lambda: here.blobs.head("readyz"))
    queue = await _queue_answers(here)
    ready = database == object_store == "up"
    status = "unavailable" if not ready else "ready" if queue == "up" else "degraded"
    body = Readiness(status=status, database=database, object_store=object_store, queue=queue)
    headers = {} if ready else {"Retry-After": str(RETRY_AFTER_S)}
    return Response(body.model_dump_json(), 200 if ready else 503, headers, "application/json")


@router.get("/metrics", response_class=Response)
async def metrics(here: Here, caller: Reader) -> Response:  # noqa: ARG001 - asks for a key
    """Figures for Prometheus."""
    return Response(await in_thread(generate_latest, here.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _answers(name: str, check: Callable[[], object]) -> Health:
    with anyio.move_on_after(_LIMIT_S):
        try:
            await anyio.to_thread.run_sync(check, abandon_on_cancel=True, limiter=_threads)
        except SaccadeError as error:
            log.warning("readyz: %s: %s", name, error.message)
            return "down"
        return "up"
    return "down"


async def _queue_answers(here: Gateway) -> Health:
    with anyio.move_on_after(_LIMIT_S):
        try:
            await here.redis.ping()  # pyright: ignore[reportGeneralTypeIssues] - typed for both its clients
        except (RedisError, OSError):
            return "down"
        return "up"
    return "down"
