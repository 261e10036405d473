"""A queued job says when nobody can start it."""

from __future__ import annotations

import time

import httpx
from httpx_sse import connect_sse

from saccade_core.records import fleet
from saccade_core.records.database import Database
from saccade_core.records.tables import WorkerRow
from saccade_gateway.testing import Served, image_request

NOBODY = "waiting: no worker of pool cpu runs"


def _report(db: Database, pool: str) -> None:
    fleet.report_worker(
        db,
        WorkerRow(id=f"w-{pool}", pool=pool, queues=pool, host="h", pid=1, device="cpu", state="idle", started_at=0),
    )


def test_a_job_that_nobody_can_start_says_so(gateway: Served, api: httpx.Client) -> None:
    _report(gateway.db, "torch")
    job = api.post("/v1/jobs", json=image_request()).json()
    assert (job["state"], job["progress"]["stage"]) == ("queued", NOBODY)
    assert api.get("/v1/jobs").json()["items"][0]["progress"]["stage"] == NOBODY
    with connect_sse(api, "GET", f"/v1/jobs/{job['id']}/events") as source:
        events = source.iter_sse()
        assert next(events).event == "state"
        told = next(events)
        assert (told.event, told.json()["stage"]) == ("progress", NOBODY)
    _report(gateway.db, "cpu")
    limit = time.monotonic() + 20
    while api.get(f"/v1/jobs/{job['id']}").json()["progress"]["stage"] and time.monotonic() < limit:
        time.sleep(0.1)
    assert api.get(f"/v1/jobs/{job['id']}").json()["progress"]["stage"] == ""


def test_jobs_that_are_not_queued_say_nothing(gateway: Served, api: httpx.Client) -> None:
    later = api.post("/v1/jobs", json=image_request(run_at="2199-01-01T00:00:00Z")).json()
    assert (later["state"], later["progress"]["stage"]) == ("waiting", "")
    job = api.post("/v1/jobs", json=image_request()).json()
    gateway.claim(job["id"])
    assert api.get(f"/v1/jobs/{job['id']}").json()["progress"]["stage"] == ""
