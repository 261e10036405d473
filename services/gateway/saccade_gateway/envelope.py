"""Around every request: an id, the time it took, and an answer also where the code failed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade_core.ids import new_id
from saccade_gateway.problems import problem

if TYPE_CHECKING:
    from saccade_gateway.state import Gateway

log = logging.getLogger(__name__)


class Envelope:
    """Middleware; adds ``X-Request-ID`` to every answer, and turns an unexpected exception into a 500 problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = new_id("req"), time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s: %s %s", request_id, scope["method"], scope["path"])
            if status:
                raise  # too late for another answer: the server cuts the connection
            detail = f"Something failed inside; the log tells what, under {request_id}."
            await problem(500, "internal_error", detail)(scope, receive, send_with_id)
        finally:
            gateway: Gateway = scope["app"].state.gateway
            gateway.metrics.request(_method(scope), _route(scope), status or 499, time.perf_counter() - started)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"


def _route(scope: Scope) -> str:
    """The route's template: an id in a label would make a time series of its own."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "unmatched"
