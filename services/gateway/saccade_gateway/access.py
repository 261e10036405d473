"""What a route declares to say who may call it: ``caller: Reader``, ``Submitter`` or ``Admin``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from saccade_core.errors import InvalidRequest
from saccade_core.records.keys import Role
from saccade_gateway.auth import Caller
from saccade_gateway.state import Here

_scheme = HTTPBearer(auto_error=False, description="An API key, sk_...; none is needed while no key exists")


def _needs(role: Role) -> Callable[..., Awaitable[Caller]]:
    async def check(request: Request, here: Here) -> Caller:
        caller = await here.authenticator.caller(request)
        caller.require(role)
        _refuse_nul(request)
        return caller

    return check


def _refuse_nul(request: Request) -> None:
    """PostgreSQL has no strings with NUL: none of ours gets as far as a query."""
    texts = [request.scope["path"], *(text for pair in request.query_params.multi_items() for text in pair)]
    if any("\x00" in text for text in texts):
        raise InvalidRequest("The address holds a NUL character.", field="url")


Reader = Annotated[Caller, Depends(_needs("read"))]
Submitter = Annotated[Caller, Depends(_needs("submit"))]
Admin = Annotated[Caller, Depends(_needs("admin"))]

#: For routers: lets the OpenAPI document say how keys are sent.
SECURITY = [Security(_scheme)]
