"""``/v1/galleries``: face galleries, the people in them, their pictures, and the removal of each."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from saccade_core.errors import NotFound
from saccade_core.galleries import Gallery, KeptItem, PersonItem, RemovalReceipt, Removed
from saccade_core.jobs import Time, utc
from saccade_core.kind import GalleryName
from saccade_core.records import galleries as records
from saccade_core.records import gallery_removal
from saccade_core.records.galleries import GalleryCounts
from saccade_core.records.gallery_removal import Receipt
from saccade_core.records.tables import FaceRow
from saccade_gateway.access import SECURITY, Reader, Submitter
from saccade_gateway.downloads import Content, send
from saccade_gateway.routes.jobs import json_only
from saccade_gateway.state import Here, in_thread

router = APIRouter(prefix="/v1/galleries", tags=["galleries"], dependencies=SECURITY)

Name = Annotated[str, Path(description="The gallery's name", examples=["staff"])]
Person = Annotated[
    str,
    Path(description="The person's name as it was enrolled", examples=["Eileen Collins"]),
    AfterValidator(partial(unicodedata.normalize, "NFC")),
]
FaceId = Annotated[str, Path(description="face_...")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str, Query(max_length=200, description="next_cursor of a page")]


class NewGallery(BaseModel):
    """A gallery to be made."""

    model_config = ConfigDict(extra="forbid")

    name: GalleryName = Field(examples=["staff"])


class GalleryPage(BaseModel):
    """Galleries by name; ``next_cursor`` is null on the last page."""

    items: list[Gallery]
    next_cursor: str | None


class PeoplePage(BaseModel):
    """People by name; ``next_cursor`` is null on the last page."""

    items: list[PersonItem]
    next_cursor: str | None


class Face(BaseModel):
    """An enrolled face: how good its picture is, and the input (``inputs.images[0]=file_...``) and job it is from."""

    id: str
    quality: dict[str, float | None] = Field(examples=[{"sharpness": 312.5, "size": 140.0}])
    source: str
    source_sha256: str
    job: str
    created_at: Time
    crop_url: str
    photo_url: str


class PersonView(BaseModel):
    """A person and the 1,000 newest faces."""

    gallery: str
    name: str
    faces: list[Face]


@router.post("", status_code=201)
async def create_gallery(
    *, response: Response, here: Here, caller: Submitter, _: Annotated[None, Depends(json_only)], body: NewGallery
) -> Gallery:
    """Make an empty gallery; 409 where there is one of that name. A job that enrols makes its gallery by itself."""
    row = await in_thread(records.create_gallery, here.db, caller.project, body.name)
    response.headers["Location"] = f"/v1/galleries/{row.name}"
    return _gallery_view(GalleryCounts(row, 0, 0))


@router.get("")
async def list_galleries(here: Here, caller: Reader, limit: Limit = 100, cursor: Cursor = "") -> GalleryPage:
    """The project's galleries by name."""
    found = await in_thread(records.list_galleries, here.db, caller.project, after=cursor, limit=limit + 1)
    items = [_gallery_view(counts) for counts in found[:limit]]
    return GalleryPage(items=items, next_cursor=items[-1].name if len(found) > limit else None)


@router.get("/{name}")
async def get_gallery(name: Name, here: Here, caller: Reader) -> Gallery:
    """One gallery."""
    return _gallery_view(await in_thread(records.get_gallery, here.db, caller.project, name))


@router.delete("/{name}")
async def delete_gallery(name: Name, here: Here, caller: Submitter) -> RemovalReceipt:
    """Delete a gallery with all its people, their embeddings and pictures, and the uploads that only served them."""
    return _receipt_view(await in_thread(gallery_removal.remove_gallery, here.db, here.blobs, caller.project, name))


@router.get("/{name}/people")
async def list_people(name: Name, here: Here, caller: Reader, limit: Limit = 100, cursor: Cursor = "") -> PeoplePage:
    """The gallery's people by name."""
    found = await in_thread(records.list_people, here.db, caller.project, name, after=cursor, limit=limit + 1)
    items = [
        PersonItem.model_construct(
            name=person.name,
            faces=person.faces,
            created_at=utc(person.created_at),
            url=f"/v1/galleries/{name}/people/{quote(person.name, safe='')}",
        )
        for person in found[:limit]
    ]
    return PeoplePage(items=items, next_cursor=items[-1].name if len(found) > limit else None)


@router.get("/{name}/people/{person}")
async def get_person(name: Name, person: Person, here: Here, caller: Reader) -> PersonView:
    """A person's faces, newest first."""
    rows = await in_thread(records.faces_of_person, here.db, caller.project, name, person)
    return PersonView(gallery=name, name=person, faces=[_face_view(name, row) for row in rows])


@router.delete("/{name}/people/{person}")
async def delete_person(name: Name, person: Person, here: Here, caller: Submitter) -> RemovalReceipt:
    """Delete a person: embeddings, pictures, and the uploads that only served this enrolment; no job that starts
    afterwards can match the person."""
    removed = await in_thread(gallery_removal.remove_person, here.db, here.blobs, caller.project, name, person)
    return _receipt_view(removed)


@router.delete("/{name}/faces/{face_id}")
async def delete_face(name: Name, face_id: FaceId, here: Here, caller: Submitter) -> RemovalReceipt:
    """Delete one face, and the person with the last one."""
    return _receipt_view(
        await in_thread(gallery_removal.remove_face, here.db, here.blobs, caller.project, name, face_id)
    )


@router.head("/{name}/faces/{face_id}/{picture}", include_in_schema=False)
@router.get("/{name}/faces/{face_id}/{picture}", response_class=Response)
async def get_picture(
    *,
    name: Name,
    face_id: FaceId,
    picture: Literal["crop", "photo"],
    request: Request,
    here: Here,
    caller: Reader,
) -> Response:
    """The aligned crop or the photo of a face as JPEG; Range is supported. May answer 307 to the object store."""
    row = await in_thread(records.get_face, here.db, caller.project, name, face_id)
    key = row.crop_key if picture == "crop" else row.photo_key
    stat = await in_thread(here.blobs.head, key)
    if stat is None:
        raise NotFound(f"The {picture} of {face_id} is not there any more.", field="face_id", received=face_id)
    # A face's pictures never change, so their key names their content.
    return await send(
        request, here, Content(key, f"{face_id}-{picture}.jpg", "image/jpeg", stat.bytes, row.id + picture)
    )


def _gallery_view(found: GalleryCounts) -> Gallery:
    row = found.row
    return Gallery.model_construct(
        name=row.name,
        people=found.people,
        faces=found.faces,
        model=row.model,
        dimensions=row.dimensions,
        revision=row.revision,
        created_at=utc(row.created_at),
    )


def _face_view(gallery: str, row: FaceRow) -> Face:
    here = f"/v1/galleries/{gallery}/faces/{row.id}"
    return Face.model_construct(
        id=row.id,
        quality=row.quality,
        source=row.source,
        source_sha256=row.source_sha256,
        job=row.job_id,
        created_at=utc(row.created_at),
        crop_url=f"{here}/crop",
        photo_url=f"{here}/photo",
    )


def _receipt_view(receipt: Receipt) -> RemovalReceipt:
    removed = Removed(
        faces=receipt.faces,
        embeddings=receipt.faces,
        crops=receipt.crops,
        photos=receipt.photos,
        files=receipt.files,
    )
    return RemovalReceipt.model_construct(
        gallery=receipt.gallery,
        person=receipt.person,
        removed=removed,
        kept=[KeptItem(what=kept.what, why=kept.why) for kept in receipt.kept],
        at=utc(receipt.at),
        revision=receipt.revision,
    )
