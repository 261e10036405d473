"""Following one job for a reader of its events: from its Redis stream, with the records to fall back on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi.sse import ServerSentEvent
from redis.exceptions import RedisError

from saccade_core.errors import NotFound, Unavailable
from saccade_core.jobs import JobState
from saccade_core.live import events_key
from saccade_core.records import lookups
from saccade_core.records.lookups import JobWithArtifacts
from saccade_gateway.state import Gateway, in_thread
from saccade_gateway.views import job_view

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_AT_ONCE = 200

_Entry = tuple[str, dict[str, str]]


class Follower:
    """One reader. The stream may be lost, late or from before a retry: states and the end are the records'."""

    def __init__(self, here: Gateway, project: str, job: JobWithArtifacts) -> None:
        self._here = here
        self._project = project
        self._job = job
        self._key = events_key(job.row.id)
        self._exists = True
        self._told: tuple[str, int] | None = None
        self._told_stage = ""

    async def events(self, last_seen: str | None) -> AsyncIterator[ServerSentEvent]:
        """Everything after ``last_seen``; without it the current state first, then all that the stream has."""
        snapshot_at: str | None = None
        if last_seen is None:
            snapshot_at = await self._newest()
            await self._look()
            yield self._state()
        position = last_seen or "0"
        while not self._here.stopping and self._exists:
            entries = await self._read(position)
            for position, entry in entries:
                if entry["type"] == "done":
                    await self._look()
                    if self._job.row.is_final:  # else the end of an earlier life, before a retry
                        yield self._done(position)
                        return
                elif (event := self._of_entry(position, entry, snapshot_at)) is not None:
                    yield event
            if not entries:
                for event in await self._of_records():
                    yield event
                if self._job.row.is_final:
                    return

    async def _of_records(self) -> list[ServerSentEvent]:
        """What the records know and the reader does not."""
        await self._look()
        row = self._job.row
        if not self._exists:
            return []
        events = [] if self._told == (row.seen_state, row.attempt) else [self._state()]
        events += await self._of_workers()
        return [*events, self._done(None)] if row.is_final else events

    def _of_entry(self, position: str, entry: dict[str, str], snapshot_at: str | None) -> ServerSentEvent | None:
        if entry["type"] == "state":
            data: dict[str, Any] = json.loads(entry["data"])
            state = (str(data.get("state")), int(data.get("attempt", 0)))
            if state == self._told or (snapshot_at is not None and _number(position) <= _number(snapshot_at)):
                return None  # told already, by the records
            self._told = state
        return ServerSentEvent(event=entry["type"], raw_data=entry["data"], id=position)

    async def _of_workers(self) -> list[ServerSentEvent]:
        """Once while a job is queued and nobody can start it: its progress, which says so."""
        view = job_view(self._job)
        queued = view.state is JobState.QUEUED
        stage = (await in_thread(self._here.staffing.told, view)).progress.stage if queued else ""
        known, self._told_stage = self._told_stage, stage
        if not queued or stage == known:
            return []
        return [ServerSentEvent(event="progress", raw_data=view.progress.model_dump_json())]

    def _state(self) -> ServerSentEvent:
        row = self._job.row
        self._told = (row.seen_state, row.attempt)
        return ServerSentEvent(event="state", raw_data=json.dumps({"state": row.seen_state, "attempt": row.attempt}))

    def _done(self, position: str | None) -> ServerSentEvent:
        return ServerSentEvent(event="done", raw_data=job_view(self._job).model_dump_json(), id=position)

    async def _look(self) -> None:
        """Read the job's record again. A database that is away changes nothing."""
        try:
            self._job = await in_thread(lookups.get_job, self._here.db, self._project, self._job.row.id)
        except NotFound:
            self._exists = False
        except Unavailable as error:
            log.info("following %s: %s", self._job.row.id, error.message)

    async def _newest(self) -> str | None:
        try:
            newest: Any = await self._here.redis.xrevrange(self._key, count=1)
        except (RedisError, OSError):
            return None
        return newest[0][0] if newest else None

    async def _read(self, position: str) -> list[_Entry]:
        """Entries after ``position``, waiting up to a second for the first; none where Redis is away."""
        try:
            found: Any = await self._here.redis.xread(
                {self._key: position}, count=_AT_ONCE, block=int(_LOOK_EVERY_S * 1000)
            )
        except (RedisError, OSError) as error:
            log.info("following %s: %s", self._job.row.id, error)
            await asyncio.sleep(_LOOK_EVERY_S)
            return []
        return _entries(found)


def _entries(found: Any) -> list[_Entry]:
    streams = found.values() if isinstance(found, dict) else [entries for _, entries in found or []]
    return [entry for entries in streams for entry in entries]


def _number(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence or 0)
