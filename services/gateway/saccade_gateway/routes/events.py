"""``/v1/jobs/{id}/events``: what happens to a job, as server-sent events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from saccade_core.errors import InvalidRequest
from saccade_core.records import lookups
from saccade_core.records.lookups import JobWithArtifacts
from saccade_gateway.access import SECURITY, Reader
from saccade_gateway.following import Follower
from saccade_gateway.state import Here, in_thread

router = APIRouter(prefix="/v1/jobs/{id}/events", tags=["events"], dependencies=SECURITY)

_STREAM_ID = re.compile(r"\d{1,20}(-\d{1,20})?")


async def _last_seen(
    last_event_id: Annotated[str | None, Header()] = None,
    last_event_id_query: Annotated[str | None, Query(alias="last_event_id")] = None,
) -> str | None:
    seen = last_event_id or last_event_id_query
    if seen and not _STREAM_ID.fullmatch(seen):
        raise InvalidRequest("This is no id of an event.", field="Last-Event-ID", received=seen)
    return seen or None


async def _job(id: str, here: Here, caller: Reader) -> JobWithArtifacts:  # noqa: A002 - the contract's name
    return await in_thread(lookups.get_job, here.db, caller.project, id)


@router.get("", response_class=EventSourceResponse)
async def follow_job(
    here: Here,
    caller: Reader,
    job: Annotated[JobWithArtifacts, Depends(_job)],
    last_seen: Annotated[str | None, Depends(_last_seen)],
) -> AsyncIterator[ServerSentEvent]:
    """Events ``state``, ``progress``, ``metric``, ``log``, ``artifact``, ``done``; the stream ends after ``done``.

    The first is the current state; then what happened so far, and what happens. With Last-Event-ID only what came
    after it. A comment is sent every 15 s.
    """
    follower = Follower(here, caller.project, job)
    async for event in follower.events(last_seen):
        yield event
