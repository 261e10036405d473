"""No request body is read into memory beyond a limit, whether or not it says its length beforehand."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Middleware; reading over ``most`` bytes raises a 413, which the application answers as its other errors.

    ``streams`` names the calls (method, path) that take larger bodies and limit them themselves. Starlette's own
    limit would answer in plain text.
    """

    def __init__(self, app: ASGIApp, most: int, streams: AbstractSet[tuple[str, str]]) -> None:
        self._app = app
        self._most = most
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in self._streams:
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        # Of a body that announces its length, the server lets no more through.
        left = self._most - int(announced) if announced.isdecimal() else self._most

        async def limited() -> Message:
            nonlocal left
            if left >= 0:
                message = await receive()
                if not announced:
                    left -= len(message.get("body", b""))
                if left >= 0:
                    return message
            raise HTTPException(413, f"The body may have {self._most} bytes here.")

        await self._app(scope, limited, send)
