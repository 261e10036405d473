"""The walk of one job that docs/one-job.md tells, step by step, on the real stack."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from saccade_core.jobs import JobState
from saccade_core.records import lookups
from saccade_core.records.database import Database
from saccade_kinds import registry
from servers.stack import Stack

ROOT = Path(__file__).parents[2]


@pytest.mark.stack
def test_the_walk(stack: Stack) -> None:
    sample = registry.sample("edit_image")
    with httpx.Client(base_url=stack.url, timeout=70) as http:
        with sample.files["image"][0].open("rb") as stream:
            sent = http.post("/v1/files", files={"file": ("picture.png", stream, "image/png")})
        assert sent.status_code == 201
        body = {"kind": "edit_image", "inputs": {"image": sent.json()["id"]}, "params": dict(sample.params)}

        accepted = http.post("/v1/jobs", json=body)
        assert accepted.status_code == 202
        assert accepted.headers["location"] == f"/v1/jobs/{accepted.json()['id']}"
        job_id = accepted.json()["id"]

        with_record = Database(f"sqlite:///{stack.data_dir}/saccade.db")
        assert lookups.get_job(with_record, "default", job_id).row.kind == "edit_image"

        ended = http.get(f"/v1/jobs/{job_id}", params={"wait": 60}).json()
        assert ended["state"] == JobState.SUCCEEDED
        [attempt] = lookups.list_attempts(with_record, job_id)
        assert (attempt.attempt, attempt.outcome) == (1, "succeeded")
        with_record.close()

        [artifact] = [a for a in ended["artifacts"] if a["name"] == "image.png"]
        picture = http.get(artifact["url"])
        assert picture.status_code == 200
        assert picture.headers["content-type"] == "image/png"
        assert len(picture.content) == artifact["bytes"]
        stored = stack.data_dir / "blobs" / "objects" / "jobs" / job_id / str(attempt.token) / "image.png"
        assert stored.read_bytes() == picture.content

        events = http.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "0"}).text
        assert re.findall(r"^event: (\w+)", events, re.MULTILINE)[-1] == "done"


def test_the_page_names_real_code() -> None:
    """Every file and function that the page names is there."""
    page = (ROOT / "docs" / "one-job.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)`(?:, `(\w+)`)?", page)
    assert len(named) >= 6
    for file, function in named:
        source = (ROOT / file).read_text("utf-8")
        defined = re.search(rf"^\s*(async )?(def|class) {function}\b", source, re.MULTILINE)
        assert not function or defined, (file, function)
