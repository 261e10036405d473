"""Face galleries as users see them: what the API answers, and its clients read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from saccade_core.jobs import Time


class Gallery(BaseModel):
    """A face gallery; ``model`` and ``dimensions`` are of the network that measured its faces, null without faces.
    ``revision`` rises with every change."""

    name: str
    people: int
    faces: int
    model: str | None = Field(examples=["mobilefacenet@1"])
    dimensions: int | None
    revision: int
    created_at: Time


class PersonItem(BaseModel):
    """A person of a gallery; ``url`` is where the faces are told."""

    name: str
    faces: int
    created_at: Time
    url: str


class Removed(BaseModel):
    """What is gone: faces with their embeddings from the records, pictures and uploaded files from the object store."""

    faces: int
    embeddings: int
    crops: int
    photos: int
    files: list[str]


class KeptItem(BaseModel):
    """What is not gone, and why."""

    what: str
    why: str


class RemovalReceipt(BaseModel):
    """What a removal removed until ``at``; ``revision`` is the gallery's after it. ``person`` is null where the whole
    gallery went. Copies on the workers' disks, of the gallery and of the uploads, are gone about 15 s later."""

    gallery: str
    person: str | None
    removed: Removed
    kept: list[KeptItem]
    at: Time
    revision: int

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "gallery": "staff",
                    "person": "Eileen Collins",
                    "removed": {"faces": 2, "embeddings": 2, "crops": 2, "photos": 2, "files": ["file_01k8..."]},
                    "kept": [
                        {"what": "job_01k8...", "why": "it holds the person's name ...; delete the job to remove them"}
                    ],
                    "at": "2026-11-22T22:00:00.000Z",
                    "revision": 7,
                }
            ]
        }
    )
