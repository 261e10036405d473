"""What one request may cost: large bodies, many errors, many references, pages of large results."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from saccade_core.records import leases, lookups
from saccade_core.records.database import Database
from saccade_core.records.lookups import JobFilter, JobWithArtifacts
from saccade_gateway import submit
from saccade_gateway.json_check import check_json
from saccade_gateway.problems import field_problem
from saccade_gateway.testing import Served, image_request


def submitted(api: httpx.Client, request: dict[str, Any]) -> str:
    answer = api.post("/v1/jobs", json=request)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


@contextmanager
def statements(gateway: Served) -> Generator[list[str]]:
    """All SQL that the gateway sends."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    engine = gateway.app.state.gateway.db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_an_object_of_too_many_names_is_not_validated(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_body: object) -> None:
        pytest.fail("validated")

    monkeypatch.setattr(submit, "validated", never)
    answer = api.post("/v1/jobs", json=image_request(labels={f" {i}": "" for i in range(300_000)}))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["errors"] == [
        {"field": "labels", "message": "An object may have 1,000 names.", "received": "300000 names"}
    ]


def test_as_many_errors_are_told_as_one_can_read(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json=image_request(params={str(i): 0 for i in range(900)}))
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 50
    operation = {"op": "grayscale", **{str(i): 0 for i in range(900)}}
    answer = api.post("/v1/jobs", json=image_request(params={"operations": [operation] * 50}))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"] == "The request breaks its rules in 45,000 places."


def test_what_was_received_is_written_no_further_than_it_is_shown() -> None:
    class Ends(list[int]):
        def __iter__(self) -> Iterator[int]:
            yield from range(1000)
            pytest.fail("read to its end")

    shown = field_problem("a", "No.", Ends([1])).received
    assert shown.startswith("[0, 1, 2, ")
    assert len(shown) == 201


def test_bodies_are_checked_beside_the_event_loop(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[object] = []

    def noting(body: Any) -> None:
        try:
            loops.append(asyncio.get_running_loop())
        except RuntimeError:
            loops.append(None)
        check_json(body)

    monkeypatch.setattr(submit, "check_json", noting)
    submitted(api, image_request())
    assert loops == [None]


def test_a_key_finds_its_job_also_after_the_file_is_gone(gateway: Served, api: httpx.Client) -> None:
    png = api.get("/v1/kinds/edit_image").json()["sample"]["inputs"]["image"].partition(",")[2]
    file = api.post("/v1/files", files={"file": ("a.png", base64.b64decode(png))}).json()["id"]
    request, headers = {"kind": "edit_image", "inputs": {"image": file}}, {"Idempotency-Key": "k"}
    first = api.post("/v1/jobs", json=request, headers=headers).json()["id"]
    gateway.finish(first)
    assert api.delete(f"/v1/files/{file}").status_code == 204
    again = api.post("/v1/jobs", json=request, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, first)
    other = api.post("/v1/jobs", json={**request, "labels": {"a": "b"}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_artefacts_are_looked_up_together_and_held(gateway: Served, api: httpx.Client) -> None:
    source = submitted(api, image_request())
    names = [f"frames/{i}.png" for i in range(60)]
    gateway.finish(source, dict.fromkeys(names, b"bytes"))
    images = [f"{source}/{name}" for name in names]
    with statements(gateway) as seen:
        reader = submitted(api, {"kind": "assemble_video", "inputs": {"images": images}})
    assert len([statement for statement in seen if "FROM artifacts" in statement]) == 1
    missing = {"kind": "assemble_video", "inputs": {"images": [*images, f"{source}/none.png"]}}
    assert api.post("/v1/jobs", json=missing).json()["errors"][0]["field"] == "inputs.images[60]"

    assert api.delete(f"/v1/jobs/{source}").status_code == 409
    gateway.finish(reader)
    assert api.delete(f"/v1/jobs/{source}").status_code == 204


def test_pages_of_large_results_end_early(gateway: Served, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for mebibytes in (0, 6, 17, 6, 6, 6, 0):
        made.append(submitted(api, image_request()))
        row = gateway.claim(made[-1])
        result = {"text": "x" * (mebibytes << 20)}
        given: dict[str, Any] = {"artifacts": [], "provenance": {}, "progress": {}}
        leases.succeed(gateway.db, row.id, row.token, result=result, **given)
    portions: list[int] = []

    def noting(db: Database, project: str, wanted: JobFilter) -> list[JobWithArtifacts]:
        portions.append(wanted.limit)
        return list_jobs(db, project, wanted)

    list_jobs = lookups.list_jobs
    monkeypatch.setattr(lookups, "list_jobs", noting)
    pages: list[list[str]] = []
    cursor: str | None = None
    while not pages or cursor:
        page = api.get("/v1/jobs", params={"cursor": cursor} if cursor else {}).json()
        pages.append([job["id"] for job in page["items"]])
        cursor = page["next_cursor"]
    newest = made[::-1]
    assert pages == [newest[0:3], newest[3:4], newest[4:5], newest[5:7]]
    assert max(portions) <= 8
