"""The smallest ``edit_image`` job through the whole stack: latency when idle, and jobs per second."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks import bare_celery
from benchmarks.report import table
from saccade_core.jobs import JobState
from saccade_kinds import registry
from servers.stack import Stack

#: As many clients as the gateway is asked by at once when jobs/s are measured.
_CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from POST to the final state, over HTTP."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Small jobs per second: accepted (202 received) and finished."""

    accepted: float
    finished: float


def smallest(http: httpx.Client) -> dict[str, Any]:
    """A request that makes an 8 x 8 picture brighter."""
    picture = registry.sample("edit_image").files["image"][0]
    with picture.open("rb") as stream:
        file = http.post("/v1/files", files={"file": ("a.png", stream)}).json()
    small = http.post(
        "/v1/jobs",
        headers={"Prefer": "wait=30"},
        json={
            "kind": "edit_image",
            "inputs": {"image": file["id"]},
            "params": {"operations": [{"op": "resize", "width": 8, "height": 8, "keep_aspect": False}]},
        },
    ).json()
    reference = f"{small['id']}/{small['artifacts'][0]['name']}"
    operations = [{"op": "flip", "direction": "horizontal"}]
    return {"kind": "edit_image", "inputs": {"image": reference}, "params": {"operations": operations}}


def latency(url: str, count: int = 200) -> Latency:
    """One job at a time on an idle stack; the answer waits for the job's end."""
    with httpx.Client(base_url=url, timeout=70) as http:
        body = smallest(http)
        times = [_one(http, body) for _ in range(count + 10)][10:]
    cuts = statistics.quantiles(times, n=100)
    return Latency(statistics.median(times), cuts[98])


def _one(http: httpx.Client, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
    spent = (time.perf_counter() - started) * 1000
    assert answer.status_code == 200 and answer.json()["state"] == JobState.SUCCEEDED, answer.text
    return spent


def rate(url: str, count: int = 1000) -> Rate:
    """``count`` jobs from eight clients as fast as they are accepted, then until all are done."""
    with httpx.Client(base_url=url, timeout=70) as http:
        body = smallest(http)
        batch = f"rate-{time.time_ns()}"
        started = time.perf_counter()
        threads = [
            threading.Thread(target=_submit, args=(url, {**body, "labels": {"run": batch}}, count // _CLIENTS))
            for _ in range(_CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = time.perf_counter() - started
        open_states = {"label": f"run={batch}", "limit": "1", "state": ["queued", "running"]}
        while http.get("/v1/jobs", params=open_states).json()["items"]:
            time.sleep(0.02)
        finished = time.perf_counter() - started
    sent = count // _CLIENTS * _CLIENTS
    return Rate(sent / accepted, sent / finished)


def _submit(url: str, body: dict[str, Any], count: int) -> None:
    with httpx.Client(base_url=url, timeout=70) as http:
        for _ in range(count):
            assert http.post("/v1/jobs", json=body).status_code == 202


def section(stack: Stack) -> str:
    """Latency and rate, beside bare Celery on the same Redis."""
    idle = latency(stack.url)
    found = rate(stack.url)
    bare = bare_celery.tasks_per_second(f"redis+socket://{stack.data_dir}/redis/redis.sock")
    rows = [
        ["POST to final state, idle, p50", f"{idle.p50_ms:.0f} ms"],
        ["the same, p99", f"{idle.p99_ms:.0f} ms"],
        ["accepted jobs/s, 8 clients", f"{found.accepted:.0f}"],
        ["finished jobs/s, the same run", f"{found.finished:.0f}"],
        ["bare Celery no-op tasks/s, 2 one-slot workers", f"{bare:.0f}"],
    ]
    return table("The smallest `edit_image` job (8 x 8 px, flipped), embedded stack, 2 workers", ["", ""], rows)
