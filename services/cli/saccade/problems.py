"""Errors of the API as exceptions."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import BaseModel, ValidationError


class FieldProblem(BaseModel):
    """One field of a request that broke its rule."""

    field: str
    message: str
    received: Any = None


class SaccadeApiError(Exception):
    """The API answered with a problem document (RFC 9457).

    ``code`` is stable (``unknown_kind``), ``status`` is HTTP's, ``errors`` names the fields at fault.
    """

    def __init__(self, message: str, *, code: str, status: int, errors: list[FieldProblem] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.errors = errors or []


class SaccadeUnreachable(SaccadeApiError):
    """Nothing answers at the address, also after the retries."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"Nothing answers at {url}: {reason}", code="unreachable", status=0)
        self.url = url


class _Problem(BaseModel):
    code: str = "unknown"
    title: str = ""
    detail: str = ""
    errors: list[FieldProblem] = []


def raise_for_problem(response: httpx.Response) -> None:
    """Raise SaccadeApiError unless the answer is a success; reads the body of a streamed answer."""
    if response.is_success:
        return
    response.read()
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:  # from a proxy, or not Saccade at all
        problem = _Problem(detail=response.text[:300])
    message = problem.detail or problem.title or f"HTTP {response.status_code}"
    raise SaccadeApiError(message, code=problem.code, status=response.status_code, errors=problem.errors)
