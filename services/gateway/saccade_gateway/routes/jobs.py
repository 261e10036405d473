"""``/v1/jobs``: submit, look up, list, cancel, retry and delete."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from saccade_core.errors import InvalidRequest, UnsupportedMediaType
from saccade_core.jobs import Job, JobState
from saccade_core.records import lookups, requests
from saccade_core.records.lookups import JobFilter, JobWithArtifacts
from saccade_gateway.access import SECURITY, Reader, Submitter
from saccade_gateway.auth import Caller
from saccade_gateway.job_requests import AnyRequest, examples
from saccade_gateway.state import Gateway, Here, in_thread
from saccade_gateway.submit import submit
from saccade_gateway.views import JobPage, job_view

_LABEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]{0,62})(?:=(.{0,255}))?", re.DOTALL)
_WAIT = re.compile(r"\s*wait\s*=\s*(\d{1,9})\s*", re.IGNORECASE)
#: A result may weigh 32 MiB: records are read a few at a time, and a page ends early when it weighs this much.
_AT_ONCE = 8
_PAGE_BYTES = 16 << 20


async def json_only(request: Request) -> None:
    """Refuse an empty body, and other media types."""
    if "json" not in request.headers.get("content-type", ""):
        raise UnsupportedMediaType(
            "Send the request as application/json.",
            field="Content-Type",
            received=request.headers.get("content-type"),
        )
    if not await request.body():
        raise InvalidRequest("The request has no body.", field="body")


def jobs_router() -> APIRouter:
    """The routes; the request's models follow from the registry of kinds."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=SECURITY)

    @router.post(
        "",
        status_code=202,
        response_model=Job,
        responses={200: {"model": Job, "description": "The finished job, or the one of this Idempotency-Key"}},
    )
    async def submit_job(
        *,
        request: Request,
        here: Here,
        caller: Submitter,
        _: Annotated[None, Depends(json_only)],
        body: Annotated[AnyRequest, Body(openapi_examples=examples())],
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
        prefer: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Record a job and answer at once; with ``Prefer: wait=N`` after its end or N seconds (60 at most)."""
        row, fresh = await in_thread(submit, here.db, caller.project, body, idempotency_key)
        if fresh:
            here.announcer.publish(row)
            here.metrics.accepted(row.kind)
        wait_s = _preferred_wait(prefer, here.settings.max_wait_s)
        if fresh and not wait_s:
            found = JobWithArtifacts(row, ())
        else:
            found = await _wait(request, here, caller, row.id, wait_s or 0.0)
        headers = {"Location": f"/v1/jobs/{row.id}"}
        if wait_s is not None:
            headers["Preference-Applied"] = f"wait={wait_s:g}"
        done = found.row.is_final if wait_s is not None else False
        return await _answer(here, found, 200 if done or not fresh else 202, headers)

    router.get("", response_model=JobPage)(list_jobs)
    router.get("/{id}", response_model=Job)(get_job)
    router.post("/{id}/cancel", response_model=Job)(cancel_job)
    router.post("/{id}/retry", status_code=202, response_model=Job)(retry_job)
    router.delete("/{id}", status_code=204)(delete_job)
    del submit_job
    return router


async def list_jobs(
    *,
    here: Here,
    caller: Reader,
    kind: str | None = None,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006 - FastAPI copies it
    label: Annotated[list[str], Query(description="name or name=value; repeat to ask for several")] = [],  # noqa: B006 - as above
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    batch: str | None = None,
    pipeline: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(pattern="^job_[0-9a-z]{26}$", description="next_cursor of a page")] = None,
) -> Response:
    """Jobs of the project, newest first; a page of large results ends before ``limit``, with its next_cursor.

    The artefacts of a job's finished parts, ``parts/...``, are not in it.
    """
    wanted = JobFilter(
        kind=kind,
        states=tuple(s.value for s in state),
        labels=dict(_label(text) for text in label),
        created_after=created_after.timestamp() if created_after else None,
        created_before=created_before.timestamp() if created_before else None,
        batch=batch,
        pipeline=pipeline,
        before_id=cursor,
        limit=limit,
    )
    return Response(await in_thread(_page, here, caller.project, wanted), media_type="application/json")


async def get_job(
    request: Request,
    id: str,  # noqa: A002 - the contract's name
    here: Here,
    caller: Reader,
    wait: Annotated[float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait for the job's end")] = 0.0,
) -> Response:
    """The job; with ``wait`` after its end or so many seconds (60 at most).

    Of the artefacts of its finished parts, ``parts/...``, the first 100; ``GET /v1/jobs/{id}/artifacts`` has all.
    """
    return await _answer(here, await _wait(request, here, caller, id, min(wait, here.settings.max_wait_s)), 200)


async def cancel_job(id: str, here: Here, caller: Submitter) -> Response:  # noqa: A002 - the contract's name
    """End the job: at once where it has not started, within 2 s where it runs; an ended one stays as it is."""
    before = await in_thread(lookups.get_job, here.db, caller.project, id)
    row = await in_thread(requests.cancel_job, here.db, caller.project, id)
    if not before.row.is_final:
        here.announcer.cancel(row)
    return await _answer(here, await in_thread(lookups.get_job, here.db, caller.project, id), 200)


async def retry_job(id: str, here: Here, caller: Submitter) -> Response:  # noqa: A002 - the contract's name
    """Queue a failed or cancelled job again, keeping the parts of it that are done; 409 for others."""
    row = await in_thread(requests.retry_job, here.db, caller.project, id)
    here.announcer.event(row.id, "state", {"state": row.seen_state, "attempt": row.attempt})
    here.announcer.publish(row)
    return await _answer(here, await in_thread(lookups.get_job, here.db, caller.project, id), 202)


async def delete_job(id: str, here: Here, caller: Submitter) -> None:  # noqa: A002 - the contract's name
    """Remove an ended job and its artefacts; 409 while it has not ended."""
    await in_thread(requests.delete_job, here.db, caller.project, id)
    here.announcer.forget(id)
    await in_thread(here.remove_bytes, lambda: here.blobs.delete_prefix(f"jobs/{id}/"))


async def _wait(request: Request, here: Gateway, caller: Caller, job_id: str, seconds: float) -> JobWithArtifacts:
    async def read() -> JobWithArtifacts:
        return await in_thread(lookups.get_job, here.db, caller.project, job_id)

    async def given_up() -> bool:
        return here.stopping or await request.is_disconnected()

    if seconds <= 0:
        return await read()
    return await here.waiters.until_final(job_id, seconds, read, given_up)


async def _answer(
    here: Gateway, found: JobWithArtifacts, status: int, headers: dict[str, str] | None = None
) -> Response:
    job, staffing = job_view(found), here.staffing
    job = (
        staffing.told(job)
        if staffing.fresh or job.state is not JobState.QUEUED
        else await in_thread(staffing.told, job)
    )
    return Response(job.model_dump_json(), status, headers, "application/json")


def _page(here: Gateway, project: str, wanted: JobFilter) -> bytes:
    """A JobPage as JSON, of at least one job where there is one."""
    items: list[bytes] = []
    cursor, size, more = wanted.before_id, 0, False
    for job in _listed(here, project, wanted):
        item = here.staffing.told(job_view(job)).model_dump_json().encode()
        more = len(items) == wanted.limit or (size + len(item) > _PAGE_BYTES and bool(items))
        if more:
            break
        items.append(item)
        cursor, size = job.row.id, size + len(item)
    next_cursor = json.dumps(cursor if more else None).encode()
    return b'{"items":[' + b",".join(items) + b'],"next_cursor":' + next_cursor + b"}"


def _listed(here: Gateway, project: str, wanted: JobFilter) -> Iterator[JobWithArtifacts]:
    """All that ``wanted`` asks for and what comes after, read in portions."""
    wanted = replace(wanted, limit=_AT_ONCE)
    while True:
        found = lookups.list_jobs(here.db, project, wanted)
        yield from found
        if len(found) < _AT_ONCE:
            return
        wanted = replace(wanted, before_id=found[-1].row.id)


def _preferred_wait(prefer: str | None, most: float) -> float | None:
    """Seconds of ``wait=N`` in a Prefer header (RFC 7240), or None; what cannot be read is ignored, as it says."""
    found = [match for part in re.split("[,;]", prefer or "") if (match := _WAIT.fullmatch(part))]
    return min(float(found[0][1]), most) if found else None


def _label(text: str) -> tuple[str, str | None]:
    found = _LABEL.fullmatch(text)
    if found is None:
        raise InvalidRequest("A label is name or name=value.", field="label", received=text)
    return found[1], found[2]
