"""``/v1/files``: upload, look at, download and delete."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from saccade_core.errors import SaccadeError
from saccade_core.ids import new_id
from saccade_core.records import files
from saccade_gateway.access import SECURITY, Reader, Submitter
from saccade_gateway.downloads import Content, send
from saccade_gateway.state import Here, in_thread
from saccade_gateway.uploads import receive_file
from saccade_gateway.views import File, file_view

router = APIRouter(prefix="/v1/files", tags=["files"], dependencies=SECURITY)

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post("", status_code=201, openapi_extra=_FORM)
async def upload_file(request: Request, response: Response, here: Here, caller: Submitter) -> File:
    """Store a file. Its type is recognised by its bytes, whatever its name says."""
    file_id = new_id("file")
    key = f"files/{caller.project}/{file_id}"
    received = await receive_file(request, here.blobs, key, here.settings.max_upload_bytes)
    try:
        row = await in_thread(
            files.add_file,
            here.db,
            file_id=file_id,
            project=caller.project,
            name=received.name,
            media_type=received.media_type,
            size=received.bytes,
            sha256=received.sha256,
            key=key,
            ttl_s=here.settings.file_ttl_s,
        )
    except SaccadeError:
        await in_thread(here.remove_bytes, lambda: here.blobs.delete([key]))
        raise
    response.headers["Location"] = f"/v1/files/{file_id}"
    return file_view(row)


@router.get("/{id}")
async def get_file(id: str, here: Here, caller: Reader) -> File:  # noqa: A002 - the contract's name
    """What is known of a file."""
    return file_view(await in_thread(files.get_file, here.db, caller.project, id))


@router.head("/{id}/content", include_in_schema=False)
@router.get("/{id}/content", response_class=Response)
async def get_file_content(id: str, request: Request, here: Here, caller: Reader) -> Response:  # noqa: A002 - the contract's name
    """The file's bytes; Range is supported. Answers 307 where the object store serves them itself."""
    row = await in_thread(files.get_file, here.db, caller.project, id)
    return await send(request, here, Content(row.key, row.name, row.media_type, row.bytes, row.sha256))


@router.delete("/{id}", status_code=204)
async def delete_file(id: str, here: Here, caller: Submitter) -> None:  # noqa: A002 - the contract's name
    """Delete a file; 409 while an unfinished job reads it."""
    row = await in_thread(files.remove_file, here.db, caller.project, id)
    await in_thread(here.remove_bytes, lambda: here.blobs.delete([row.key]))
