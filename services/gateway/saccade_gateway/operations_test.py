"""The catalogue, queues, workers, health, metrics, and what is common to all answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx
import pytest

from saccade_core.kind import Kind
from saccade_core.records import fleet
from saccade_core.records.database import Database
from saccade_core.records.tables import WorkerRow
from saccade_gateway.submit import _choose_pool  # pyright: ignore[reportPrivateUsage] - the choice by itself
from saccade_gateway.testing import Serve, Served, image_request
from saccade_kinds import registry

HEAVY = ["torch", "tensorflow", "keras", "mediapipe", "cv2", "ultralytics", "numpy", "onnxruntime"]


def worker(pool: str, device: str) -> WorkerRow:
    return WorkerRow(
        id=f"{pool}-1",
        pool=pool,
        queues=f"{pool},{pool}.bulk",
        host="h",
        pid=1,
        device=device,
        state="idle",
        job_id=None,
        started_at=time.time(),
        seen_at=0.0,
    )


def test_the_catalogue_has_every_kind(shared_api: httpx.Client) -> None:
    items = shared_api.get("/v1/kinds").json()["items"]
    assert [item["name"] for item in items] == list(registry.kinds())
    image = next(item for item in items if item["name"] == "edit_image")
    assert image["inputs"]["properties"]["image"]["accepts"] == ["image"]
    assert image["params"]["properties"]["quality"]["maximum"] == 100
    assert image["result"]["properties"]["channels"]["type"] == "integer"
    unknown = shared_api.get("/v1/kinds/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_the_openapi_document_has_a_schema_for_each_kind(shared_api: httpx.Client) -> None:
    document = shared_api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["discriminator"]["mapping"]) == set(registry.kinds())
    for reference in body["discriminator"]["mapping"].values():
        name = reference.rpartition("/")[2]
        assert name.startswith("JobRequest_")
        assert schemas[name]["properties"]["params"]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call.get("summary"), (method, path)
            asks = path not in {"/livez", "/readyz"} and path != "/metrics"
            assert bool(call.get("security")) == asks, (method, path)


def test_the_documentation_needs_no_other_server(shared_api: httpx.Client) -> None:
    page = shared_api.get("/docs").text
    assert "//cdn" not in page
    assert shared_api.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    assert shared_api.get("/").headers["location"] == "/docs"


def test_the_gateway_stays_light() -> None:
    code = (
        "import sys; from saccade_gateway.app import create_app; from saccade_gateway.settings import GatewaySettings;"
        f"create_app(GatewaySettings()).openapi(); print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_queues_can_be_paused(gateway: Served, api: httpx.Client) -> None:
    job_id = api.post("/v1/jobs", json=image_request(priority="bulk")).json()["id"]
    assert api.post("/v1/queues/cpu/pause").json() == {"pool": "cpu", "paused": True}
    queues = {queue["queue"]: queue for queue in api.get("/v1/queues").json()["items"]}
    assert set(queues) == {"cpu", "cpu.bulk", "torch", "keras"}
    assert (queues["cpu.bulk"]["queued"], queues["cpu.bulk"]["running"], queues["cpu.bulk"]["paused"]) == (1, 0, True)
    assert (queues["cpu"]["queued"], queues["torch"]["paused"]) == (0, False)
    with pytest.raises(LookupError):
        gateway.claim(job_id)
    assert api.post("/v1/queues/cpu/resume").json() == {"pool": "cpu", "paused": False}
    gateway.claim(job_id)
    assert api.post("/v1/queues/gpu/pause").status_code == 404


def test_workers_are_listed(gateway: Served, api: httpx.Client) -> None:
    assert api.get("/v1/workers").json() == {"items": []}
    fleet.report_worker(gateway.db, worker("cpu", "cpu"))
    (item,) = api.get("/v1/workers").json()["items"]
    assert (item["id"], item["queues"], item["state"]) == ("cpu-1", ["cpu", "cpu.bulk"], "idle")


def test_the_preferred_pool_is_taken_where_it_has_a_gpu(gateway: Served) -> None:
    base = registry.get("edit_image")
    kind = Kind("x", ("torch", "cpu"), "", {}, base.params, base.result)
    assert _choose_pool(gateway.db, kind) == "cpu"
    fleet.report_worker(gateway.db, worker("torch", "cpu"))
    assert _choose_pool(gateway.db, kind) == "cpu"
    fleet.report_worker(gateway.db, worker("torch", "cuda:0"))
    assert _choose_pool(gateway.db, kind) == "torch"
    assert _choose_pool(gateway.db, base) == "cpu"
    picky = Kind("x", ("torch", "cpu"), "", {}, base.params, base.result, pools_for=lambda _: ["cpu"])
    assert _choose_pool(gateway.db, picky, base.params.model_construct()) == "cpu"


def test_health_without_the_queue(api: httpx.Client) -> None:
    assert api.get("/livez").json() == {"status": "up"}
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "database": "up", "object_store": "up", "queue": "down"}


def test_without_the_database_nothing_is_accepted(
    gateway: Served, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Database("postgresql+psycopg://u:p@127.0.0.1:1/x")
    running = gateway.app.state.gateway
    assert api.get("/v1/jobs").status_code == 200
    monkeypatch.setattr(running, "db", away)
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["database"], answer.json()["status"]) == (503, "down", "unavailable")
    refused = api.post("/v1/jobs", json=image_request())
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "2"
    assert "127.0.0.1" not in refused.text
    away.close()


@pytest.mark.stack
def test_health_with_everything(serve: Serve, redis_url: str) -> None:
    with serve(redis_url=redis_url) as gateway, gateway.client() as api:
        assert api.get("/readyz").json()["status"] == "ready"


def test_metrics(gateway: Served, api: httpx.Client) -> None:
    gateway.finish(api.post("/v1/jobs", json=image_request()).json()["id"])
    api.post("/v1/jobs", json=image_request())
    api.get("/v1/jobs/job_1")
    api.get("/v1/jobs/job_2")
    api.get("/nowhere")
    fleet.report_worker(gateway.db, worker("cpu", "cpu"))
    text = api.get("/metrics").text
    for line in (
        'saccade_http_requests_total{method="POST",route="/v1/jobs",status="202"} 2.0',
        'saccade_http_requests_total{method="GET",route="/v1/jobs/{id}",status="404"} 2.0',
        'saccade_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'saccade_jobs_accepted_total{kind="edit_image"} 2.0',
        'saccade_jobs{kind="edit_image",state="queued"} 1.0',
        'saccade_jobs{kind="edit_image",state="succeeded"} 1.0',
        'saccade_jobs_ended{kind="edit_image",state="succeeded"} 1.0',
        'saccade_queue_waiting{queue="cpu"} 1.0',
        'saccade_workers{pool="cpu",state="idle"} 1.0',
        "saccade_records_up 1.0",
    ):
        assert line in text.splitlines(), line
    assert "saccade_http_request_duration_seconds_bucket" in text
    assert "saccade_jobs_ended_run_seconds{" in text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("POST", "/v1/jobs:estimate", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("GET", "/v1/jobs/job_%00", 422, "invalid_request"),
        ("GET", "/v1/files/%ff", 404, "not_found"),
    ],
)
def test_what_is_not_there(shared_api: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = shared_api.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_failure_inside_tells_nothing_of_it(
    gateway: Served, api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway.app.state.gateway, "db", None)
    answer = api.get("/v1/jobs")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "NoneType" not in answer.text
    assert answer.headers["x-request-id"] in problem["detail"]
    assert answer.headers["x-request-id"] in caplog.text
    assert json.dumps(problem["errors"]) == "[]"
