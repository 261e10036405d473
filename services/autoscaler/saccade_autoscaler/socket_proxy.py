"""Stands between the autoscaler and the Docker socket, and lets through what scaling needs and nothing else.

Whoever reaches the socket rules the machine, so the autoscaler does not: this small program alone has it. Of the
containers of one Compose project and of some of its services it tells, starts, stops and removes; it creates those
that are copies of a container of the same service, but for their number. Everything else is refused.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from saccade_autoscaler.compose import NUMBER, PROJECT, SERVICE, copy_of

log = logging.getLogger(__name__)

_CALL = re.compile(r"(?:/v\d\.\d+)?(?P<call>/.*)")
_CONTAINER = re.compile(r"/containers/(?P<id>[0-9a-f]{12,64})(?:/(?P<do>json|start|stop))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
#: What may be done to a container, by method.
_MAY = {"GET": {"json"}, "POST": {"start", "stop"}, "DELETE": {None}}
_OPEN = {"/_ping", "/version"}
_MOST_BYTES = 1 << 20
_LIMIT_S = 120.0


class Refused(Exception):
    """A call that scaling does not need."""


class Proxy:
    """The rules, over a client that speaks to the engine."""

    def __init__(self, engine: httpx.AsyncClient, project: str, services: Collection[str]) -> None:
        self._engine = engine
        self._project = project
        self._services = frozenset(services)

    def app(self) -> Starlette:
        """The proxy as an application."""
        return Starlette(routes=[Route("/{path:path}", self.handle, methods=["GET", "HEAD", "POST", "DELETE"])])

    async def handle(self, request: Request) -> Response:
        """One call: passed on, or refused with 403."""
        found = _CALL.fullmatch(request.url.path)
        try:
            return await self._allowed(request, found["call"] if found else "")
        except Refused as error:
            log.warning("refused %s %s: %s", request.method, request.url.path[:200], error)
            return JSONResponse({"message": f"refused: {error}"}, status_code=403)
        except httpx.TransportError as error:
            return JSONResponse({"message": f"the engine does not answer: {error}"}, status_code=503)

    async def _allowed(self, request: Request, call: str) -> Response:
        method = request.method
        if call in _OPEN and method in {"GET", "HEAD"}:
            return await self._pass(request)
        if call == "/containers/json" and method == "GET":
            return await self._list(request)
        if call == "/containers/create" and method == "POST":
            return await self._create(request)
        found = _CONTAINER.fullmatch(call)
        if found is None or found["do"] not in _MAY.get(method, set[str | None]()):
            raise Refused("scaling does not need it")
        self._check_labels((await self._inspect(found["id"]))["Config"]["Labels"] or {})
        return await self._pass(request)

    async def _list(self, request: Request) -> Response:
        """The containers of the services alone, whatever was asked for."""
        asked = json.loads(request.query_params.get("filters", "{}"))
        labels = asked.get("label", []) if isinstance(asked, dict) else []
        label = [*(labels if isinstance(labels, list) else []), f"{PROJECT}={self._project}"]
        query = {"all": request.query_params.get("all", "0"), "filters": json.dumps({"label": label})}
        answer = await self._engine.get("/containers/json", params=query)
        if not answer.is_success:
            return _told(answer)
        ours = [one for one in answer.json() if one["Labels"].get(SERVICE) in self._services]
        return JSONResponse(ours)

    async def _create(self, request: Request) -> Response:
        """A container that is a copy of a sibling, but for its number."""
        body = await request.body()
        if len(body) > _MOST_BYTES:
            raise Refused("the configuration is too long")
        try:
            config = json.loads(body)
            labels: dict[str, str] = dict(config["Labels"])
            number = int(labels[NUMBER])
        except (ValueError, TypeError, KeyError) as error:
            raise Refused("the configuration is none of a replica") from error
        self._check_labels(labels)
        name = request.query_params.get("name", "")
        if name != f"{self._project}-{labels[SERVICE]}-{number}" or not _NAME.fullmatch(name):
            raise Refused("the name is not the replica's")
        copies = [copy_of(one, labels[SERVICE], number) for one in await self._siblings(labels[SERVICE])]
        if config not in copies:
            raise Refused("the configuration is not that of its siblings")
        return await self._pass(request, body)

    async def _siblings(self, service: str) -> list[dict[str, Any]]:
        label = [f"{PROJECT}={self._project}", f"{SERVICE}={service}"]
        query = {"all": "1", "filters": json.dumps({"label": label})}
        answer = await self._engine.get("/containers/json", params=query)
        return [await self._inspect(one["Id"]) for one in (answer.json() if answer.is_success else [])]

    async def _inspect(self, container_id: str) -> dict[str, Any]:
        answer = await self._engine.get(f"/containers/{container_id}/json")
        if not answer.is_success:
            raise Refused("there is no such container")
        found: dict[str, Any] = answer.json()
        return found

    def _check_labels(self, labels: Mapping[str, str]) -> None:
        if labels.get(PROJECT) != self._project or labels.get(SERVICE) not in self._services:
            raise Refused("the container is none of the services that are scaled")

    async def _pass(self, request: Request, body: bytes | None = None) -> Response:
        content = await request.body() if body is None else body
        answer = await self._engine.request(
            request.method,
            request.url.path,
            params=dict(request.query_params),
            content=content,
            headers={"Content-Type": "application/json"} if content else {},
        )
        return _told(answer)


def _told(answer: httpx.Response) -> Response:
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("Content-Type"))


def main() -> None:
    """``python -m saccade_autoscaler.socket_proxy --project saccade --service worker-cpu ...``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(prog="saccade_autoscaler.socket_proxy")
    parser.add_argument("--socket", default="/var/run/docker.sock")
    parser.add_argument("--project", default="saccade")
    parser.add_argument("--service", action="append", required=True, help="a service that is scaled; may be repeated")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in a network of the autoscaler's own
    parser.add_argument("--port", type=int, default=2375)
    args = parser.parse_args()
    transport = httpx.AsyncHTTPTransport(uds=args.socket)
    engine = httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=_LIMIT_S)
    app = Proxy(engine, args.project, args.service).app()
    uvicorn.run(app, host=args.host, port=args.port, log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    main()
