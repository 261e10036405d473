"""The proxy over an engine in memory; tests of the whole Compose stack use the real one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from saccade_autoscaler.compose import NUMBER, PROJECT, SERVICE, copy_of
from saccade_autoscaler.socket_proxy import Proxy

WORKER, GATEWAY, STRANGER = "a" * 64, "b" * 64, "c" * 64


def _container(project: str, service: str, secret: str) -> dict[str, Any]:
    labels = {PROJECT: project, SERVICE: service, NUMBER: "1", "com.docker.compose.oneoff": "False"}
    return {
        "Config": {"Image": "saccade/worker-cpu:dev", "Env": [f"SECRET={secret}"], "Cmd": ["work"], "Labels": labels},
        "HostConfig": {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "Binds": None},
        "NetworkSettings": {"Networks": {"saccade_inner": {"NetworkID": "n1"}}},
    }


class Engine:
    """Answers as the Docker API does, and remembers what reached it."""

    def __init__(self) -> None:
        self.containers = {
            WORKER: _container("saccade", "worker-cpu", "w"),
            GATEWAY: _container("saccade", "gateway", "g"),
            STRANGER: _container("another", "worker-cpu", "s"),
        }
        self.changed: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1.41")
        if path == "/containers/json":
            wanted = json.loads(request.url.params["filters"])["label"]
            labels = [(key, c["Config"]["Labels"]) for key, c in self.containers.items()]
            fits = [
                (key, ls)
                for key, ls in labels
                if all(f"{k}={ls.get(k)}" == w for w in wanted for k in [w.split("=")[0]])
            ]
            return httpx.Response(200, json=[{"Id": key, "Labels": ls} for key, ls in fits])
        if request.method != "GET":
            self.changed.append((request.method, path))
            return httpx.Response(201, json={"Id": "d" * 64})
        found = self.containers.get(path.split("/")[2]) if path.startswith("/containers/") else {"ApiVersion": "1.41"}
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"message": "no such container"})


class Asks:
    """Calls of the proxy's application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    async def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self._engine), base_url="http://docker") as engine:
            app = Proxy(engine, "saccade", ["worker-cpu"]).app()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client:
                return await client.request(method, path, **options)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def proxy(engine: Engine) -> Asks:
    return Asks(engine)


def test_only_the_scaled_services_are_seen(proxy: Asks) -> None:
    assert proxy.get("/version").json() == {"ApiVersion": "1.41"}
    asked = {"filters": json.dumps({"label": [f"{PROJECT}=another"]})}
    assert proxy.get("/v1.41/containers/json", params=asked).json() == []
    assert [one["Id"] for one in proxy.get("/v1.41/containers/json").json()] == [WORKER]
    assert proxy.get(f"/v1.41/containers/{WORKER}/json").status_code == 200
    for other in (GATEWAY, STRANGER, "e" * 64):
        answer = proxy.get(f"/v1.41/containers/{other}/json")
        assert answer.status_code == 403
        assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("GET", "/images/json"),
        ("GET", "/info"),
        ("POST", "/images/create?fromImage=evil"),
        ("POST", f"/containers/{WORKER}/exec"),
        ("POST", f"/containers/{WORKER}/update"),
        ("GET", f"/containers/{WORKER}/archive?path=/etc/shadow"),
        ("GET", f"/containers/{WORKER}/../../info"),
        ("POST", f"/containers/{GATEWAY}/stop"),
        ("DELETE", f"/containers/{STRANGER}"),
        ("DELETE", "/volumes/saccade_postgres"),
        ("POST", "/containers/create?name=saccade-worker-cpu-2"),
        ("GET", "//containers/json"),
    ],
)
def test_what_scaling_does_not_need_is_refused(proxy: Asks, engine: Engine, method: str, call: str) -> None:
    assert proxy.request(method, f"/v1.41{call}").status_code == 403
    assert engine.changed == []


def test_replicas_are_started_stopped_and_removed(proxy: Asks, engine: Engine) -> None:
    for method, call in (("POST", "/start"), ("POST", "/stop?t=30"), ("DELETE", "")):
        assert proxy.request(method, f"/v1.41/containers/{WORKER}{call}").is_success
    assert [path.rpartition("/")[2] for _, path in engine.changed] == ["start", "stop", WORKER]


def test_a_copy_of_a_sibling_is_created_and_nothing_else(proxy: Asks, engine: Engine) -> None:
    copy = copy_of(engine.containers[WORKER], "worker-cpu", 2)
    good = proxy.post("/v1.41/containers/create?name=saccade-worker-cpu-2", json=copy)
    assert good.status_code == 201
    assert len(engine.changed) == 1

    def changed(**more: Any) -> dict[str, Any]:
        return {**copy, **more}

    privileged = changed(HostConfig={**copy["HostConfig"], "Privileged": True})
    mounted = changed(HostConfig={**copy["HostConfig"], "Binds": ["/:/host"]})
    for bad in (privileged, mounted, changed(Image="evil"), changed(Cmd=["sh"]), changed(User="0"), changed(Env=[])):
        assert proxy.post("/v1.41/containers/create?name=saccade-worker-cpu-2", json=bad).status_code == 403
    named = proxy.post("/v1.41/containers/create?name=something", json=copy)
    other = copy_of(engine.containers[GATEWAY], "gateway", 2)
    scaled = proxy.post("/v1.41/containers/create?name=saccade-gateway-2", json=other)
    assert (named.status_code, scaled.status_code) == (403, 403)
    assert len(engine.changed) == 1
