"""Every error is answered as an RFC 9457 problem document: application/problem+json with a stable ``code``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from saccade_core.errors import RateLimited, SaccadeError, Unauthenticated
from saccade_core.rules import message_of
from saccade_kinds import registry

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_RECEIVED_CHARACTERS = 200
_ERRORS_SHOWN = 50
_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
}


class FieldProblem(BaseModel):
    """One field that breaks its rule."""

    field: str = Field(examples=["params.every_n"])
    message: str
    received: Any = None


class Problem(BaseModel):
    """Why a request was not answered as asked; ``code`` is stable, the sentences are for people."""

    type: str = Field(examples=["urn:saccade:problem:invalid_request"])
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that tells a problem."""
    document = Problem(
        type=f"urn:saccade:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors),
    )
    return Response(document.model_dump_json(), status, dict(headers or {}), MEDIA_TYPE)


def of_error(error: SaccadeError) -> Response:
    """The response for an error of the tree."""
    headers: dict[str, str] = {}
    if error.status == 503 or isinstance(error, RateLimited):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    errors = [] if error.field is None else [field_problem(error.field, error.message, error.received)]
    return problem(error.status, error.code, error.message, errors, headers)


def field_problem(field: str, message: str, received: Any) -> FieldProblem:
    """A field's problem, with what was received made short and safe to show."""
    return FieldProblem(field=field, message=message, received=_shown(received))


def install(app: FastAPI) -> None:
    """Answer every expected exception of ``app`` with a problem document."""

    @app.exception_handler(SaccadeError)
    async def _saccade(_request: Request, error: SaccadeError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> Response:
        return _of_validation(error.errors())

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> Response:
        # FastAPI's only 400 is a body that it could not read; here that is an invalid request like others.
        status = 422 if error.status_code == 400 else error.status_code
        return problem(status, _CODES.get(status, "http_error"), str(error.detail), headers=error.headers)

    del _saccade, _invalid, _http  # registered by their decorators


def _of_validation(found: Sequence[Mapping[str, Any]]) -> Response:
    unknown = next((_unknown_kind(e) for e in found if _unknown_kind(e) is not None), None)
    if unknown is not None:
        return problem(422, "unknown_kind", unknown.message, [unknown])
    errors = [field_problem(_field_of(e["loc"]), _message_of(e), e.get("input")) for e in found[:_ERRORS_SHOWN]]
    detail = errors[0].message if errors else "The request is invalid."
    if errors and errors[0].field:
        detail = f"{errors[0].field}: {detail}"
    return problem(422, "invalid_request", detail, errors)


def _unknown_kind(error: Mapping[str, Any]) -> FieldProblem | None:
    """The problem where ``error`` says that no kind is called so."""
    context: Mapping[str, Any] = error.get("ctx") or {}
    if error["type"] == "union_tag_invalid" and tuple(error["loc"]) == ("body",):
        tag, names = context["tag"], context["expected_tags"]
    elif error["type"] == "literal_error" and tuple(error["loc"]) == ("body", "kind"):
        tag, names = error.get("input"), context["expected"]
    else:
        return None
    shown = _shown(tag)
    return FieldProblem(
        field="kind",
        message=f"There is no kind of job called {shown!r}; there are: {str(names).replace(chr(39), '')}.",
        received=shown,
    )


def _field_of(location: Sequence[str | int]) -> str:
    """``("body", "<kind>", "params", "operations", 0)`` as ``params.operations[0]``."""
    parts = list(location)
    if parts and parts[0] in {"body", "query", "path", "header"}:
        source = str(parts.pop(0))
        if source == "body" and parts and parts[0] in registry.kinds():
            parts.pop(0)  # the union of requests puts the kind's name first
        if not parts:
            return source
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _message_of(error: Mapping[str, Any]) -> str:
    if error["type"] == "union_tag_not_found":
        return "The request names no kind of job."
    location: Sequence[str | int] = error["loc"]
    kind = registry.kinds().get(str(location[1])) if len(location) > 1 and location[0] == "body" else None
    return message_of(error, kind.params if kind else None)


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)[:_RECEIVED_CHARACTERS]
    text = value if isinstance(value, str) else _as_json(value)
    text = text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _RECEIVED_CHARACTERS else text[:_RECEIVED_CHARACTERS] + "…"


def _as_json(value: Any) -> str:
    """The beginning of ``value`` as JSON; what is not shown is not written."""
    text = ""
    try:
        for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
            text += piece[: _RECEIVED_CHARACTERS + 1]
            if len(text) > _RECEIVED_CHARACTERS:
                break
    except (ValueError, RecursionError):
        return f"({type(value).__name__})"
    return text
