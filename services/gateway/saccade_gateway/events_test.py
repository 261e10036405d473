"""Server-sent events: replay, the way back to the records, and the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from saccade_core.errors import InputError
from saccade_core.live import Live
from saccade_core.records import leases
from saccade_gateway.testing import Serve, Served, image_request
from servers.redis_server import RedisServer


def submitted(api: httpx.Client) -> str:
    return api.post("/v1/jobs", json=image_request()).json()["id"]


def told(event: ServerSentEvent) -> tuple[str, Any]:
    return event.event, json.loads(event.data)


@contextmanager
def following(api: httpx.Client, job_id: str, last: str | None = None) -> Generator[Iterator[ServerSentEvent]]:
    headers = {"Last-Event-ID": last} if last else {}
    with connect_sse(api, "GET", f"/v1/jobs/{job_id}/events", headers=headers) as source:
        assert source.response.status_code == 200
        yield source.iter_sse()


def test_without_redis_states_and_end_still_come(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)
    with following(api, job_id) as events:
        assert told(next(events)) == ("state", {"state": "queued", "attempt": 0})
        row = gateway.claim(job_id)
        assert told(next(events)) == ("state", {"state": "running", "attempt": 1})
        leases.fail(gateway.db, row, InputError("No image."))
        assert told(next(events)) == ("state", {"state": "failed", "attempt": 1})
        event, job = told(next(events))
        assert (event, job) == ("done", api.get(f"/v1/jobs/{job_id}").json())
        assert list(events) == []


def test_a_deleted_job_ends_the_stream(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)
    gateway.claim(job_id)
    with following(api, job_id) as events:
        next(events)
        row = api.get(f"/v1/jobs/{job_id}").json()
        assert row["state"] == "running"
        leases.cancelled(gateway.db, job_id, 1)
        api.delete(f"/v1/jobs/{job_id}")
        assert {event.event for event in events} <= {"state", "done"}


@pytest.mark.parametrize("last", ["x", "1-2-3", "-1"])
def test_no_id_of_an_event(shared_api: httpx.Client, last: str) -> None:
    job_id = submitted(shared_api)
    answer = shared_api.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert shared_api.get(f"/v1/jobs/{job_id}/events?last_event_id={last}").status_code == 422


def test_no_job_no_stream(shared_api: httpx.Client) -> None:
    assert shared_api.get("/v1/jobs/job_nope/events").status_code == 404


def test_an_idle_stream_says_that_it_lives(gateway: Served, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    job_id = submitted(api)
    with api.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert any(line.startswith(":") for line in lines)


@pytest.mark.stack
def test_events_are_replayed_and_followed(serve: Serve, redis_url: str) -> None:
    live = Live(redis_url)
    with serve(redis_url=redis_url) as gateway, gateway.client() as api:
        job_id = submitted(api)
        row = gateway.claim(job_id)
        live.event(job_id, "state", {"state": "running", "attempt": 1})
        live.event(job_id, "progress", {"fraction": 0.5, "stage": "a", "done": 1, "total": 2, "eta_s": 1})
        live.event(job_id, "log", {"message": "line 1\nline 2"})
        with following(api, job_id) as events:
            assert told(next(events)) == ("state", {"state": "running", "attempt": 1})  # of the records
            progress = next(events)
            assert (progress.event, json.loads(progress.data)["fraction"]) == ("progress", 0.5)
            log = next(events)
            assert told(log) == ("log", {"message": "line 1\nline 2"})
            live.event(job_id, "metric", {"name": "loss", "value": 0.1, "step": 1})
            assert told(next(events))[0] == "metric"
        leases.fail(gateway.db, row, InputError("No image."))
        live.event(job_id, "done", {"id": job_id, "state": "failed"})
        with following(api, job_id, last=progress.id) as events:
            rest = list(events)
        assert [event.event for event in rest] == ["log", "metric", "done"]
        assert rest[0].id == log.id
        assert json.loads(rest[2].data)["error"]["code"] == "invalid_input"
        with following(api, job_id) as events:
            assert [event.event for event in events] == ["state", "progress", "log", "metric", "done"]
    live.close()


@pytest.mark.stack
def test_the_end_of_an_earlier_life_is_not_the_end(serve: Serve, redis_url: str) -> None:
    with serve(redis_url=redis_url) as gateway, gateway.client() as api:
        job_id = submitted(api)
        api.post(f"/v1/jobs/{job_id}/cancel")
        with following(api, job_id) as events:
            assert [event.event for event in events] == ["state", "done"]
        api.post(f"/v1/jobs/{job_id}/retry")
        with following(api, job_id) as events:
            assert told(next(events)) == ("state", {"state": "queued", "attempt": 0})
            gateway.finish(job_id)
            assert [event.event for event in events][-2:] == ["state", "done"]


@pytest.mark.stack
def test_a_stream_that_is_lost_on_the_way(serve: Serve, redis_server: RedisServer, redis_url: str) -> None:
    live = Live(redis_url)
    with serve(redis_url=redis_url) as gateway, gateway.client() as api:
        job_id = submitted(api)
        gateway.claim(job_id)
        live.event(job_id, "log", {"message": "before"})
        with following(api, job_id) as events:
            assert [told(next(events))[0] for _ in range(2)] == ["state", "log"]
            redis_server.kill()
            redis_server.lose_data()
            try:
                leases.cancelled(gateway.db, job_id, 1)
                assert [event.event for event in events] == ["state", "done"]
            finally:
                redis_server.start()
    live.close()


@pytest.mark.stack
def test_a_waiter_is_woken_by_the_end(serve: Serve, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade_gateway.waiting._LOOK_EVERY_S", 1000.0)  # so that only Redis can wake
    live = Live(redis_url)
    with serve(redis_url=redis_url) as gateway, gateway.client() as api:
        job_id = submitted(api)
        subscribed(live)

        def end() -> None:
            time.sleep(0.2)
            gateway.finish(job_id)
            live.event(job_id, "done", {"id": job_id, "state": "succeeded"})

        ending = threading.Thread(target=end)
        ending.start()
        assert api.get(f"/v1/jobs/{job_id}?wait=20").json()["state"] == "succeeded"
        ending.join()
    live.close()


def subscribed(live: Live) -> None:
    """Wait until the gateway listens for ended jobs."""
    redis = live._redis  # pyright: ignore[reportPrivateUsage] - a test looks behind
    limit = time.monotonic() + 20
    while not any(count for _, count in redis.pubsub_numsub("saccade:done")):
        assert time.monotonic() < limit
        time.sleep(0.01)
