"""``/v1/jobs/{id}/artifacts``: the files that a job made."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from saccade_core.jobs import ArtifactView
from saccade_core.records import lookups
from saccade_gateway.access import SECURITY, Reader
from saccade_gateway.downloads import Content, send
from saccade_gateway.state import Here, in_thread
from saccade_gateway.views import artifact_view

router = APIRouter(prefix="/v1/jobs/{id}/artifacts", tags=["artifacts"], dependencies=SECURITY)


class ArtifactList(BaseModel):
    """All artefacts of a job, by name."""

    items: list[ArtifactView]


@router.get("")
async def list_artifacts(id: str, here: Here, caller: Reader) -> ArtifactList:  # noqa: A002 - the contract's name
    """The job's artefacts. Before it has succeeded, there are only those of its finished parts, below ``parts/``."""
    found = await in_thread(lookups.list_artifacts, here.db, caller.project, id)
    return ArtifactList(items=[artifact_view(row) for row in found])


@router.head("/{name:path}", include_in_schema=False)
@router.get("/{name:path}", response_class=Response)
async def get_artifact(id: str, name: str, request: Request, here: Here, caller: Reader) -> Response:  # noqa: A002 - the contract's name
    """The artefact's bytes; Range is supported. Answers 307 where the object store serves them itself."""
    row = await in_thread(lookups.get_artifact, here.db, caller.project, id, name)
    shown_name = row.name.rpartition("/")[2]
    return await send(request, here, Content(row.key, shown_name, row.media_type, row.bytes, row.sha256))
