"""``/v1/queues`` and ``/v1/workers``: what waits, who works, and the switch of each pool."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from saccade_core.errors import NotFound
from saccade_core.jobs import Time, utc
from saccade_core.kind import POOLS
from saccade_core.records import fleet, scaling
from saccade_core.records.database import Database
from saccade_gateway.access import SECURITY, Admin, Reader
from saccade_gateway.state import Here, in_thread

router = APIRouter(prefix="/v1", tags=["operations"], dependencies=SECURITY)


class QueueView(BaseModel):
    """One queue: due jobs that wait in it, jobs that run from it, the age of the oldest waiting one."""

    queue: str
    pool: str
    paused: bool
    queued: int
    running: int
    oldest_s: float


class QueueList(BaseModel):
    """The interactive queue of every pool, and each other queue that has jobs."""

    items: list[QueueView]


class PoolView(BaseModel):
    """A pool's switch."""

    pool: str
    paused: bool


class WorkerView(BaseModel):
    """A worker process as it last reported itself."""

    id: str
    pool: str
    queues: list[str]
    host: str
    pid: int
    device: str
    state: str
    job_id: str | None
    started_at: Time
    seen_at: Time


class WorkerList(BaseModel):
    """The workers that report, by pool and age."""

    items: list[WorkerView]


class ScalingView(BaseModel):
    """A queue's workers as the autoscaler last saw them, and why there are so many."""

    queue: str
    service: str
    replicas: int
    least: int
    most: int
    target_wait_s: float
    expected_wait_s: float
    waiting: int
    busy: int
    reason: str
    at: Time


class ScalingChange(BaseModel):
    """A change of a queue's workers."""

    queue: str
    before: int
    after: int
    reason: str
    at: Time


class Scaling(BaseModel):
    """What the autoscaler sees, and its last changes, the newest first; empty where none runs."""

    items: list[ScalingView]
    changes: list[ScalingChange]


@router.get("/scaling")
async def read_scaling(here: Here, caller: Reader) -> Scaling:  # noqa: ARG001 - asks for a key
    """How many workers there are for each queue, and why."""
    seen = await in_thread(scaling.last_seen, here.db)
    changes = await in_thread(scaling.last_changes, here.db)
    items = [ScalingView.model_validate({**row.seen, "queue": row.queue, "at": utc(row.at)}) for row in seen]
    told = [
        ScalingChange.model_validate(
            {"queue": row.queue, "before": row.before, "after": row.after, "reason": row.reason, "at": utc(row.at)}
        )
        for row in changes
    ]
    return Scaling(items=items, changes=told)


@router.get("/queues")
async def list_queues(here: Here, caller: Reader) -> QueueList:  # noqa: ARG001 - asks for a key
    """How much waits and runs, in all projects together."""
    return QueueList(items=await in_thread(_queues, here.db))


@router.post("/queues/{pool}/pause")
async def pause_pool(pool: str, here: Here, caller: Admin) -> PoolView:  # noqa: ARG001 - asks for a key
    """Accept jobs for the pool, and start none; what runs goes on."""
    return await _set_paused(here.db, pool, paused=True)


@router.post("/queues/{pool}/resume")
async def resume_pool(pool: str, here: Here, caller: Admin) -> PoolView:  # noqa: ARG001 - asks for a key
    """Start the pool's jobs again."""
    return await _set_paused(here.db, pool, paused=False)


@router.get("/workers")
async def list_workers(here: Here, caller: Reader) -> WorkerList:
    """The worker processes; ``job_id`` is shown to those who may operate."""
    rows = await in_thread(fleet.list_workers, here.db)
    return WorkerList(
        items=[
            WorkerView.model_construct(
                id=row.id,
                pool=row.pool,
                queues=[queue for queue in row.queues.split(",") if queue],
                host=row.host,
                pid=row.pid,
                device=row.device,
                state=row.state,
                job_id=row.job_id if caller.role == "admin" else None,
                started_at=utc(row.started_at),
                seen_at=utc(row.seen_at),
            )
            for row in rows
        ]
    )


def _queues(db: Database) -> list[QueueView]:
    states = {state.queue: state for state in fleet.queue_states(db)}
    paused = fleet.paused_pools(db)
    views: list[QueueView] = []
    for queue in sorted({*POOLS, *states}):
        pool, state = queue.partition(".")[0], states.get(queue)
        views.append(
            QueueView(
                queue=queue,
                pool=pool,
                paused=pool in paused,
                queued=state.queued if state else 0,
                running=state.running if state else 0,
                oldest_s=max(0.0, state.oldest_s) if state else 0.0,
            )
        )
    return views


async def _set_paused(db: Database, pool: str, *, paused: bool) -> PoolView:
    if pool not in POOLS:
        raise NotFound(f"There is no pool {pool!r}; there are: {', '.join(POOLS)}.", field="pool", received=pool)
    await in_thread(fleet.set_paused, db, pool, paused=paused)
    return PoolView(pool=pool, paused=paused)
