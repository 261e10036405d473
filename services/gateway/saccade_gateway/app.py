"""The wiring: settings in, a served application out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from saccade_core.blobs import open_blobs
from saccade_core.live import Live
from saccade_core.queue import Queue
from saccade_core.records.database import Database
from saccade_gateway import problems
from saccade_gateway.announcing import Announcer
from saccade_gateway.auth import Authenticator
from saccade_gateway.body_limit import BodyLimit
from saccade_gateway.envelope import Envelope
from saccade_gateway.metrics import Metrics
from saccade_gateway.routes import artifacts, events, files, galleries, health, kinds, models, operations, predictions
from saccade_gateway.routes.jobs import jobs_router
from saccade_gateway.serving import Serving
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.staffing import Staffing
from saccade_gateway.state import Gateway
from saccade_gateway.waiting import Waiters


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway; its connections are opened when it starts to serve. The records must be migrated."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with _open(settings) as gateway:
            app.state.gateway = gateway
            yield

    app = FastAPIOffline(
        title="Saccade",
        summary="A self-hosted vision backend: jobs in, results out.",
        version=version("saccade-gateway"),
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses={
            code: {"model": problems.Problem, "description": "A problem document"}
            for code in (401, 403, 404, 409, 413, 415, 422, 503)
        },
    )
    problems.install(app)
    app.add_middleware(BodyLimit, most=settings.max_json_bytes, streams={("POST", files.router.prefix)})
    app.add_middleware(Envelope)
    # Before the jobs' own routes: an artefact's name is a path.
    for router in (artifacts.router, events.router, jobs_router()):
        app.include_router(router)
    for router in (
        files.router,
        galleries.router,
        kinds.router,
        models.router,
        predictions.router,
        operations.router,
        health.router,
    ):
        app.include_router(router)
    return app


@asynccontextmanager
async def _open(settings: GatewaySettings) -> AsyncGenerator[Gateway]:
    db = Database(settings.database_url)
    queue, live = Queue(settings.redis_url), Live(settings.redis_url)
    announcer = Announcer(queue, live)
    redis = _async_redis(settings.redis_url)
    waiters = Waiters(redis)
    listening = asyncio.create_task(waiters.run())
    blobs = open_blobs(settings)
    serving = Serving(settings.serving_url, db, blobs)
    try:
        yield Gateway(
            settings=settings,
            db=db,
            blobs=blobs,
            announcer=announcer,
            redis=redis,
            waiters=waiters,
            authenticator=Authenticator(db),
            metrics=Metrics(db),
            staffing=Staffing(db),
            serving=serving,
        )
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await asyncio.to_thread(announcer.close)
        await redis.aclose()
        queue.close()
        live.close()
        serving.close()
        db.close()


def _async_redis(url: str) -> Redis:
    return Redis.from_url(
        url.replace("redis+socket://", "unix://", 1),
        decode_responses=True,
        socket_timeout=5,
        socket_connect_timeout=2,
        health_check_interval=25,
        retry=Retry(NoBackoff(), 0),  # who asks has something better to do than to try again
        max_connections=10_000,  # one for each reader of events
    )
