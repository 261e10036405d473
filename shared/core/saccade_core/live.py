"""What is told live over Redis: a job's events, its end, and the wish to cancel it.

All of it is a courtesy: the records know the truth, so every failure here is logged and forgotten. Events are
kept in one Redis stream per job, capped, until shortly after its end: a reader who lost the line can catch up.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, cast

import redis

from saccade_core.queue import connect

log = logging.getLogger(__name__)

EventType = Literal["state", "progress", "metric", "log", "artifact", "done"]

DONE_CHANNEL = "saccade:done"
CANCEL_CHANNEL = "saccade:cancel"
_KEEP_EVENTS = 1000
_KEEP_S = 24 * 3600
_KEEP_DONE_S = 15 * 60
_LOG_LENGTH = 2000
_PAUSE_S = 1.0
_MOST_WAITING = 10_000
_AT_ONCE = 500
#: Events wait so long for others of the job, to be told in one go; its end goes at once.
_GATHER_S = 0.02

_Told = tuple[str, EventType, dict[str, Any]]


def events_key(job_id: str) -> str:
    """The Redis stream of a job's events; each entry has ``type`` and ``data`` (JSON)."""
    return f"saccade:events:{job_id}"


class Live:
    """Tells events; after a failure it rests for a second, so that a dead Redis costs no job its time."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)
        self._rest_until = 0.0

    def event(self, job_id: str, kind: EventType, data: dict[str, Any]) -> None:
        """Append an event to the job's stream."""
        self.events(job_id, [(kind, data)])

    def events(self, job_id: str, told: Sequence[tuple[EventType, dict[str, Any]]]) -> None:
        """Append events to the job's stream in one go."""
        self._try(lambda: self._send([(job_id, kind, _short(kind, data)) for kind, data in told]))

    def _send(self, told: Sequence[_Told]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        keep_s: dict[str, int] = {}
        for job_id, kind, data in told:
            key = events_key(job_id)
            pipe.xadd(key, {"type": kind, "data": json.dumps(data)}, maxlen=_KEEP_EVENTS, approximate=True)
            keep_s[job_id] = _KEEP_DONE_S if kind == "done" else _KEEP_S
            if kind == "done":
                pipe.publish(DONE_CHANNEL, job_id)
        for job_id, seconds in keep_s.items():  # whatever began the stream: none stays for ever
            pipe.expire(events_key(job_id), seconds)
        pipe.execute()

    def cancel(self, job_id: str) -> None:
        """Ask whichever worker runs the job to stop now rather than at its next heartbeat."""
        self._try(lambda: self._redis.publish(CANCEL_CHANNEL, job_id))

    def forget(self, job_id: str) -> None:
        """Remove the job's events."""
        self._try(lambda: self._redis.delete(events_key(job_id)))

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _try(self, act: Callable[[], object]) -> None:
        if time.monotonic() < self._rest_until:
            return
        try:
            act()
        except redis.RedisError as error:
            self._rest_until = time.monotonic() + _PAUSE_S
            log.info("live channel: %s", error)


class BackgroundLive(Live):
    """Live whose events are told by a thread of its own, many in one go: no job waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(redis_url)
        self._waiting: queue.Queue[_Told | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._tell, name="live", daemon=True)
        self._thread.start()

    def events(self, job_id: str, told: Sequence[tuple[EventType, dict[str, Any]]]) -> None:
        """Append events to the job's stream soon; dropped where too many wait."""
        with suppress(queue.Full):
            for kind, data in told:
                self._waiting.put_nowait((job_id, kind, _short(kind, data)))

    def close(self) -> None:
        """Tell what waits, for a few seconds at most, and close the connection."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(timeout=5)
        super().close()

    def _tell(self) -> None:
        while True:
            told = [self._waiting.get()]
            until = time.monotonic() + _GATHER_S
            with suppress(queue.Empty):
                while len(told) < _AT_ONCE:
                    last = told[-1]
                    over = last is None or last[1] == "done"
                    told.append(self._waiting.get(timeout=0 if over else max(0.0, until - time.monotonic())))
            events = [item for item in told if item is not None]
            if events:
                self._try(lambda batch=events: self._send(batch))
            if len(events) < len(told):
                return


def _short(kind: EventType, data: dict[str, Any]) -> dict[str, Any]:
    if kind != "log":
        return data
    return {name: value[:_LOG_LENGTH] if isinstance(value, str) else value for name, value in data.items()}


class CancelListener:
    """Calls ``on_cancel(job_id)`` from a thread of its own for every cancel message, for as long as it lives."""

    def __init__(self, redis_url: str, on_cancel: Callable[[str], None]) -> None:
        self._url = redis_url
        self._on_cancel = on_cancel
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="cancel-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; the thread ends within a second."""
        self._stopped.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                with connect(self._url) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(CANCEL_CHANNEL)
                    while not self._stopped.is_set():
                        message = cast("dict[str, Any] | None", channel.get_message(timeout=1.0))
                        if message is not None:
                            self._on_cancel(str(message["data"]))
            except redis.RedisError as error:
                log.info("cancel channel: %s", error)
                self._stopped.wait(_PAUSE_S)
