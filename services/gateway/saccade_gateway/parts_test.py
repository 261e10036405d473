"""What users see of a job that is split over workers: one job that runs."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from saccade_core.errors import UnreadableInput
from saccade_core.ids import part_id
from saccade_core.jobs import JobState
from saccade_core.parts import Part
from saccade_core.records import leases
from saccade_gateway.testing import Served, image_request


@pytest.fixture
def job_id(gateway: Served, api: httpx.Client) -> str:
    """A job in three parts, the first of which is done."""
    found: str = api.post("/v1/jobs", json=image_request()).json()["id"]
    planned = [Part(index, {}) for index in range(3)]
    assert leases.split(gateway.db, gateway.claim(found), planned, "cpu.bulk") is JobState.RUNNING
    gateway.finish(part_id(found, 0), {"a.png": b"first"})
    return found


def _shown(api: httpx.Client, job_id: str) -> dict[str, Any]:
    return api.get(f"/v1/jobs/{job_id}").json()


def test_it_runs_and_shows_what_is_there_already(api: httpx.Client, job_id: str) -> None:
    job = _shown(api, job_id)
    assert (job["state"], job["attempts"], job["result"]) == ("running", 1, None)
    assert job["progress"]["stage"] == "part 2 of 3"
    assert job["progress"]["fraction"] == pytest.approx(0.3)
    assert job["run_s"] is not None
    assert [a["name"] for a in api.get(f"/v1/jobs/{job_id}/artifacts").json()["items"]] == ["parts/0000/a.png"]
    assert api.get(job["artifacts"][0]["url"]).content == b"first"


def test_its_parts_are_nobodys_to_see(api: httpx.Client, job_id: str) -> None:
    assert [job["id"] for job in api.get("/v1/jobs").json()["items"]] == [job_id]
    part = part_id(job_id, 1)
    assert api.get(f"/v1/jobs/{part}").status_code == 404
    assert api.post(f"/v1/jobs/{part}/cancel").status_code == 404
    assert 'saccade_jobs{kind="edit_image",state="running"} 1.0' in api.get("/metrics").text
    queues = {queue["queue"]: queue for queue in api.get("/v1/queues").json()["items"]}
    assert (queues["cpu.bulk"]["queued"], queues["cpu"]["running"]) == (2, 0)


def test_it_runs_for_users_until_the_join_is_done(gateway: Served, api: httpx.Client, job_id: str) -> None:
    for index in (1, 2):
        gateway.finish(part_id(job_id, index))
    waits = _shown(api, job_id)
    assert (waits["state"], waits["attempts"], waits["progress"]["stage"]) == ("running", 1, "joining")
    assert [job["id"] for job in api.get("/v1/jobs?state=running").json()["items"]] == [job_id]
    assert api.get("/v1/jobs?state=queued").json()["items"] == []
    with connect_sse(api, "GET", f"/v1/jobs/{job_id}/events") as source:
        events = source.iter_sse()
        assert json.loads(next(events).data) == {"state": "running", "attempt": 1}
        gateway.finish(job_id, {"image.png": b"all"})
        assert [event.event for event in events] == ["state", "done"]
    done = _shown(api, job_id)
    assert (done["state"], done["attempts"], done["progress"]["fraction"]) == ("succeeded", 1, 1.0)
    assert [a["name"] for a in done["artifacts"]] == ["image.png"]


def test_cancel_retry_and_delete_are_the_jobs(gateway: Served, api: httpx.Client, job_id: str) -> None:
    assert api.delete(f"/v1/jobs/{job_id}").json()["title"]
    cancelled = api.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (cancelled["state"], cancelled["progress"]["stage"]) == ("cancelled", "part 2 of 3")
    again = api.post(f"/v1/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["state"], again.json()["progress"]["done"]) == (202, "running", 1.0)
    failing = gateway.claim(part_id(job_id, 1))
    leases.fail(gateway.db, failing, UnreadableInput("It is broken.", field="inputs.image"))
    failed = _shown(api, job_id)
    assert (failed["state"], failed["error"]["field"]) == ("failed", "inputs.image")
    assert failed["error"]["message"] == "Part 0001: It is broken."
    blobs = gateway.app.state.gateway.blobs
    assert len(list(blobs.list(f"jobs/{job_id}/"))) == 1
    assert api.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(blobs.list(f"jobs/{job_id}/")) == []
