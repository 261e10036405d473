"""Events over a real Redis."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from redis import Redis

from saccade_core.live import BackgroundLive, EventType, Live, events_key
from saccade_core.queue import Queue, connect
from servers.stack import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def client(redis_url: str) -> Generator[Redis]:
    with connect(redis_url) as made:
        yield made


@pytest.fixture(params=[Live, BackgroundLive])
def live(request: pytest.FixtureRequest, redis_url: str) -> Generator[Live]:
    made: Live = request.param(redis_url)
    yield made
    made.close()


def _seconds_left(client: Redis, job_id: str) -> int:
    found: Any = client.ttl(events_key(job_id))
    return int(found)


@pytest.mark.parametrize("kind", ["state", "progress", "log"])
def test_no_stream_stays_for_ever(live: Live, client: Redis, kind: EventType) -> None:
    live.event("job_1", kind, {})
    eventually(lambda: 86_000 < _seconds_left(client, "job_1") <= 86_400, what="an end in a day")


def test_the_events_of_an_ended_job_go_soon(live: Live, client: Redis) -> None:
    live.events("job_1", [("state", {}), ("progress", {}), ("done", {})])
    live.events("job_2", [("state", {})])
    eventually(lambda: 800 < _seconds_left(client, "job_1") <= 900, what="an end in 15 minutes")
    eventually(lambda: _seconds_left(client, "job_2") > 86_000, what="a day for the job that goes on")
    live.event("job_1", "state", {"state": "queued"})
    eventually(lambda: _seconds_left(client, "job_1") > 86_000, what="a day again after a retry")


def test_a_stream_keeps_about_a_thousand_short_entries(live: Live, client: Redis) -> None:
    live.event("job_1", "log", {"message": "x" * 100_000, "line": 3})
    key = events_key("job_1")
    eventually(lambda: client.xlen(key) == 1)
    first: Any = client.xrange(key)
    assert json.loads(first[0][1]["data"]) == {"message": "x" * 2000, "line": 3}
    many: list[tuple[EventType, dict[str, Any]]] = [("progress", {})] * 500
    for _ in range(5):
        live.events("job_1", many)
    live.event("job_1", "metric", {})

    def newest() -> str:
        found: Any = client.xrevrange(key, count=1)
        return str(found[0][1]["type"])

    eventually(lambda: newest() == "metric")
    length: Any = client.xlen(key)
    assert 1000 <= length < 1200


def test_a_mark_is_there_until_redis_is_emptied(redis_url: str, client: Redis) -> None:
    queue = Queue(redis_url)
    assert not queue.marked("filled")
    queue.mark("filled")
    assert queue.marked("filled")
    client.flushdb()
    assert not queue.marked("filled")
    queue.close()
