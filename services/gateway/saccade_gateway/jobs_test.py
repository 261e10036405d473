"""Submitting, looking up, listing, cancelling, retrying and deleting jobs."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from saccade_core.errors import EngineFailed, InputError
from saccade_core.records import leases
from saccade_gateway.testing import PNG_URI, Serve, Served, image_request
from saccade_kinds import registry
from saccade_models.weights import trained_wanted
from servers.trained import register_files


def submitted(api: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/jobs", json=image_request(**more))
    assert answer.status_code == 202, answer.text
    return answer.json()


def code_and_field(answer: httpx.Response) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    errors = problem["errors"]
    return answer.status_code, problem["code"], errors[0]["field"] if errors else ""


def test_a_job_is_recorded_and_answered_without_redis(gateway: Served, api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", json=image_request(params={"format": "jpeg"}, labels={"order": "7"}))
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["kind"], job["pool"], job["priority"]) == ("queued", "edit_image", "cpu", "interactive")
    assert job["params"] == {"operations": [], "format": "jpeg", "quality": 90}
    assert job["labels"] == {"order": "7"}
    assert job["attempts"] == 0
    assert job["max_attempts"] == 3
    assert api.get(f"/v1/jobs/{job['id']}").json() == job
    assert gateway.claim(job["id"]).queue == "cpu"


def test_a_finished_job_shows_all_that_came_of_it(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api, priority="bulk")["id"]
    gateway.finish(job_id, {"image.png": b"bytes", "frames/frame_1.jpg": b"more"})
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert job["state"] == "succeeded"
    assert job["progress"]["fraction"] == 1.0
    assert job["result"] == {"width": 2, "height": 1, "channels": 3}
    assert job["provenance"]["device"] == "cpu"
    assert job["queue_s"] >= 0
    assert job["run_s"] >= 0
    assert [a["name"] for a in job["artifacts"]] == ["frames/frame_1.jpg", "image.png"]
    assert api.get(job["links"]["artifacts"]).json()["items"] == job["artifacts"]
    assert api.get(job["artifacts"][0]["url"]).content == b"more"


def have_trained(gateway: Served) -> None:
    """Register the models that kinds' samples use; the samples before those would have trained them."""
    blobs = gateway.app.state.gateway.blobs
    for name, kind in registry.kinds().items():
        for text in kind.models(registry.validate_params(kind, registry.sample(name).params)):
            wanted = trained_wanted(kind, text)
            if wanted is not None:
                register_files(gateway.db, blobs, wanted.name, {"model.h5": b"weights"}, family=kind.families[0])


def test_every_kind_has_an_example_that_works_as_it_is(gateway: Served, api: httpx.Client) -> None:
    have_trained(gateway)
    content = api.get("/openapi.json").json()["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    examples = content["application/json"]["examples"]
    assert set(examples) == set(registry.kinds())
    for name, example in examples.items():
        answer = api.post("/v1/jobs", json=example["value"])
        assert answer.status_code == 202, answer.text
        assert answer.json()["kind"] == name
        shown = api.get(f"/v1/kinds/{name}").json()
        assert shown["sample"] == example["value"]


def test_parameters_as_recorded_are_valid_again(gateway: Served, api: httpx.Client) -> None:
    have_trained(gateway)
    for name, kind in registry.kinds().items():
        sample = api.get(f"/v1/kinds/{name}").json()["sample"]
        recorded = api.post("/v1/jobs", json=sample).json()["params"]
        assert registry.validate_params(kind, recorded) == registry.validate_params(kind, sample["params"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "nothing"}, (422, "unknown_kind", "kind")),
        ({"kind": 7}, (422, "unknown_kind", "kind")),
        ({"inputs": {}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": PNG_URI, "other": PNG_URI}}, (422, "invalid_request", "inputs.other")),
        ({"inputs": {"image": [PNG_URI]}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "file:///etc/passwd"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "http://example.org/a.png"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "https://user@example.org/a.png"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "https:///a.png"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "file_nope"}}, (422, "unknown_reference", "inputs.image")),
        ({"inputs": {"image": "file_" + "0" * 26}}, (422, "unknown_reference", "inputs.image")),
        ({"inputs": {"image": "job_" + "0" * 26 + "/a.png"}}, (422, "unknown_reference", "inputs.image")),
        ({"inputs": {"image": "job_" + "0" * 26 + "/../a"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "data:image/png;base64,!"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "data:image/png"}}, (422, "invalid_request", "inputs.image")),
        ({"inputs": {"image": "data:image/png,hello"}}, (415, "unsupported_media_type", "inputs.image")),
        ({"inputs": {"image": "data:," + "a" * (1 << 20) + "b"}}, (413, "too_large", "inputs.image")),
        ({"params": {"nonsense": 1}}, (422, "invalid_request", "params.nonsense")),
        ({"params": {"quality": "high"}}, (422, "invalid_request", "params.quality")),
        ({"params": {"format": "a\x00b"}}, (422, "invalid_request", "params.format")),
        ({"labels": {"a": "b\x00"}}, (422, "invalid_request", "labels.a")),
        ({"labels": {"a\x00": "b"}}, (422, "invalid_request", "labels")),
        ({"labels": {"a b": "c"}}, (422, "invalid_request", "labels.a b.[key]")),
        ({"labels": {"a": "c" * 256}}, (422, "invalid_request", "labels.a")),
        ({"labels": {str(i): "" for i in range(33)}}, (422, "invalid_request", "labels")),
        ({"inputs": {"image": "\x00"}}, (422, "invalid_request", "inputs.image")),
        ({"priority": "urgent"}, (422, "invalid_request", "priority")),
        ({"max_attempts": 0}, (422, "invalid_request", "max_attempts")),
        ({"max_attempts": 21}, (422, "invalid_request", "max_attempts")),
        ({"deadline_s": 0}, (422, "invalid_request", "deadline_s")),
        ({"ttl_s": -1}, (422, "invalid_request", "ttl_s")),
        ({"run_at": "2030-01-01T00:00:00"}, (422, "invalid_request", "run_at")),
        ({"webhook": "https://example.org"}, (422, "invalid_request", "webhook")),
    ],
)
def test_what_breaks_a_rule_is_named(
    shared_api: httpx.Client, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    answer = shared_api.post("/v1/jobs", json={**image_request(), **change})
    assert code_and_field(answer) == expected
    assert len(answer.text) < 3000
    assert shared_api.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (422, "invalid_request", "body")),
        (b"{", (422, "invalid_request", "[1]")),
        (b"[]", (422, "invalid_request", "body")),
        (b'{"inputs": {}}', (422, "invalid_request", "body")),
        (b'{"kind": "edit_image", "deadline_s": Infinity}', (422, "invalid_request", "deadline_s")),
        (b'{"kind": "edit_image", "labels": {"a": "\\ud800"}}', (422, "invalid_request", "labels.a")),
        (b"\xff{}", (422, "invalid_request", "")),
        (b"[" * 100_000, (422, "invalid_request", "")),
        (b"[" * 500 + b"]" * 500, (422, "invalid_request", "[0]" * 65)),
        (b'{"kind": ' + b"9" * 5000 + b"}", (422, "invalid_request", "")),
    ],
)
def test_broken_json(shared_api: httpx.Client, content: bytes, expected: tuple[int, str, str]) -> None:
    answer = shared_api.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert code_and_field(answer) == expected


def test_other_media_types_are_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs", content=b"{}", headers={"Content-Type": "text/plain"})
    assert code_and_field(answer) == (415, "unsupported_media_type", "Content-Type")


def test_large_bodies_are_cut_off_also_without_their_length(serve: Serve) -> None:
    with serve(max_json_bytes=10_000) as gateway, gateway.client() as api:
        body = b'{"kind": "' + b"x" * 20_000 + b'"}'
        headers = {"Content-Type": "application/json"}
        assert code_and_field(api.post("/v1/jobs", content=body, headers=headers)) == (413, "too_large", "")
        pieces = (body[i : i + 1000] for i in range(0, len(body), 1000))
        assert code_and_field(api.post("/v1/jobs", content=pieces, headers=headers)) == (413, "too_large", "")
        assert submitted(api)["state"] == "queued"


def test_an_idempotency_key_makes_one_job(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "order-7"}
    first = api.post("/v1/jobs", json=image_request(labels={"a": "1", "b": "2"}), headers=headers)
    again = api.post("/v1/jobs", json=image_request(labels={"b": "2", "a": "1"}), headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = api.post("/v1/jobs", json=image_request(labels={"a": "2"}), headers=headers)
    assert code_and_field(other) == (409, "idempotency_conflict", "Idempotency-Key")
    too_long = api.post("/v1/jobs", json=image_request(), headers={"Idempotency-Key": "k" * 256})
    assert code_and_field(too_long) == (422, "invalid_request", "idempotency-key")


def test_paging_gives_every_job_once(api: httpx.Client) -> None:
    made = [submitted(api)["id"] for _ in range(7)]
    listed: list[str] = []
    cursor = None
    for _ in range(3):
        page = api.get("/v1/jobs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        listed += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(listed) == sorted(made)
    assert listed == sorted(listed, reverse=True)
    assert api.get("/v1/jobs?limit=7").json()["next_cursor"] is None


def test_filters(gateway: Served, api: httpx.Client) -> None:
    one = submitted(api, labels={"batch": "a"})["id"]
    two = submitted(api, labels={"batch": "b=c"})["id"]
    middle = api.get(f"/v1/jobs/{two}").json()["created_at"]
    time.sleep(0.01)
    three = submitted(api)["id"]
    gateway.finish(three)

    def listed(query: str) -> set[str]:
        answer = api.get(f"/v1/jobs?{query}")
        assert answer.status_code == 200, answer.text
        return {job["id"] for job in answer.json()["items"]}

    assert listed("") == listed("unknown=1") == {one, two, three}
    assert listed("label=batch") == {one, two}
    assert listed("label=batch=b=c") == {two}
    assert listed("label=batch&label=batch=a") == {one}
    assert listed("state=succeeded") == {three}
    assert listed("state=succeeded&state=queued") == {one, two, three}
    assert listed("kind=edit_image") == {one, two, three}
    assert listed("kind=read_text") == set()
    assert listed("batch=batch_1") == listed("pipeline=pipeline_1") == set()
    assert three in listed(f"created_after={middle}")
    assert three not in listed(f"created_before={middle}")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("state=done", "state[0]"),
        ("label==a", "label"),
        ("label=a%00", "url"),
        ("kind=%00", "url"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2030-01-01T00:00:00", "created_after"),
    ],
)
def test_wrong_filters(shared_api: httpx.Client, query: str, field: str) -> None:
    assert code_and_field(shared_api.get(f"/v1/jobs?{query}")) == (422, "invalid_request", field)


def test_a_data_uri_is_shown_short(api: httpx.Client) -> None:
    job = submitted(api)
    assert job["inputs"]["image"].startswith("data:image/png;base64,")
    assert len(job["inputs"]["image"]) < len(PNG_URI)


def test_a_job_for_later_waits(api: httpx.Client) -> None:
    later = submitted(api, run_at="2199-01-01T00:00:00+02:00")
    assert later["state"] == "waiting"
    assert later["run_at"] == "2198-12-31T22:00:00.000Z"
    assert submitted(api, run_at="2001-01-01T00:00:00Z")["state"] == "queued"


def test_cancel_retry_delete(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)["id"]
    assert code_and_field(api.delete(f"/v1/jobs/{job_id}")) == (409, "conflict", "")
    assert code_and_field(api.post(f"/v1/jobs/{job_id}/retry")) == (409, "conflict", "")
    assert api.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    assert api.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    retried = api.post(f"/v1/jobs/{job_id}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "queued")
    gateway.finish(job_id, {"image.png": b"bytes"})
    assert code_and_field(api.post(f"/v1/jobs/{job_id}/retry")) == (409, "conflict", "")
    assert api.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "succeeded"
    assert len(list(gateway.app.state.gateway.blobs.list(f"jobs/{job_id}"))) == 1
    assert api.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(gateway.app.state.gateway.blobs.list(f"jobs/{job_id}")) == []
    assert code_and_field(api.get(f"/v1/jobs/{job_id}")) == (404, "not_found", "id")


def test_a_running_job_is_asked_to_stop(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)["id"]
    row = gateway.claim(job_id)
    assert api.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "running"
    assert leases.heartbeat(gateway.db, job_id, row.token, None)


def test_a_failure_is_told(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)["id"]
    leases.fail(gateway.db, gateway.claim(job_id), InputError("No image.", field="inputs.image"))
    error = api.get(f"/v1/jobs/{job_id}").json()["error"]
    assert error == {"code": "invalid_input", "message": "No image.", "retryable": False, "field": "inputs.image"}
    again = submitted(api)["id"]
    leases.fail(gateway.db, gateway.claim(again), EngineFailed("It broke."))
    assert api.get(f"/v1/jobs/{again}").json()["state"] == "waiting"


def test_waiting_ends_with_the_job(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)["id"]
    assert api.get(f"/v1/jobs/{job_id}?wait=0.05").json()["state"] == "queued"
    finishing = threading.Timer(0.2, gateway.finish, [job_id])
    finishing.start()
    assert api.get(f"/v1/jobs/{job_id}?wait=30").json()["state"] == "succeeded"
    finishing.join()
    assert code_and_field(api.get(f"/v1/jobs/{job_id}?wait=x")) == (422, "invalid_request", "wait")


def test_prefer_wait(gateway: Served, api: httpx.Client) -> None:
    short = api.post("/v1/jobs", json=image_request(), headers={"Prefer": "respond-async, wait=0"})
    assert (short.status_code, short.headers["preference-applied"]) == (202, "wait=0")
    ignored = api.post("/v1/jobs", json=image_request(), headers={"Prefer": "wait=soon"})
    assert (ignored.status_code, "preference-applied" in ignored.headers) == (202, False)
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            for job in api_of_worker.get("/v1/jobs?label=mine&state=queued").json()["items"]:
                gateway.finish(job["id"])
                return
            time.sleep(0.01)

    with gateway.client() as api_of_worker:
        worker = threading.Thread(target=work)
        worker.start()
        try:
            request = image_request(labels={"mine": ""})
            answer = api.post("/v1/jobs", json=request, headers={"Prefer": "wait=600"})
        finally:
            done.set()
            worker.join()
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=60"


def test_a_waiting_client_that_goes_away_is_forgotten(gateway: Served, api: httpx.Client) -> None:
    job_id = submitted(api)["id"]
    with gateway.client() as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.get(f"/v1/jobs/{job_id}?wait=60", timeout=0.2)
    waiting = gateway.app.state.gateway.waiters.waiting
    limit = time.monotonic() + 20
    while waiting() and time.monotonic() < limit:
        time.sleep(0.05)
    assert waiting() == 0


def test_one_reference_stands_for_a_list_of_it(shared_api: httpx.Client) -> None:
    body = {"kind": "assemble_video", "inputs": {"images": PNG_URI}, "params": {}}
    job = shared_api.post("/v1/jobs", json=body)
    assert job.status_code == 202, job.text
    [uri] = job.json()["inputs"]["images"]
    assert PNG_URI.startswith(uri[:20])
