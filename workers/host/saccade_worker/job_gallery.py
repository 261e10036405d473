"""The gallery of one run: what its runner reads of it, and the faces that it adds when the job succeeds."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from saccade_core.blobs import Blobs, Check
from saccade_core.errors import EngineFailed, UnknownGallery
from saccade_core.ids import new_id
from saccade_core.kind import InputFile, Kind, person_name
from saccade_core.records import galleries
from saccade_core.records.forgotten import refuse_removed
from saccade_core.records.galleries import NewFace, picture_prefix
from saccade_core.records.tables import GalleryRow, JobRow
from saccade_core.storable import storable
from saccade_kinds import registry
from saccade_worker.gallery_cache import GalleryCache, Snapshot

Effect = Callable[[Session], None]
"""What is recorded in the transaction that makes the job succeed."""

_PICTURES = ("crop", "photo")
_PICTURE_BYTES = 32 << 20
_MOST_DIMENSIONS = 4096
_REFERENCE_CHARACTERS = 500
_FIELD = re.compile(r"(\w+)(?:\[(\d+)\])?")


@dataclass(slots=True)
class JobGallery:
    """A snapshot for the run, and the faces that the runner told so far."""

    snapshot: Snapshot
    scratch: Path
    may_enroll: bool
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def enroll(self, message: dict[str, Any]) -> None:
        """Take a face from the child process; it is looked at when the run has ended well."""
        self.told.append(message)

    def store(self, blobs: Blobs, job: JobRow, inputs: Mapping[str, list[InputFile]], check: Check) -> Effect | None:
        """Put the faces' pictures into the object store; what is to be recorded with the job's success.

        Raises EngineFailed where the runner told what cannot be, StorageFailed, and what ``check`` raises.
        """
        if not self.told:
            return None
        if not self.may_enroll:
            raise EngineFailed("This kind of job does not enrol faces.")
        files = {_place(file.field): file for found in inputs.values() for file in found}
        found = [_checked(message, files, self.scratch) for message in self.told]
        faces: list[NewFace] = []
        for face, source in found:
            faces.append(_new_face(face, source, job, self.snapshot.gallery))
            for name in _PICTURES:
                key = getattr(faces[-1], f"{name}_key")
                blobs.put_file(key, face[name], "image/jpeg", check=check)

        def record(session: Session) -> None:
            galleries.add_faces(session, self.snapshot.gallery.id, job.id, faces)

        return record


def gallery_of(cache: GalleryCache, job: JobRow, kind: Kind, scratch: Path, check: Check) -> JobGallery | None:
    """The gallery that the job's parameters name, at its newest revision, or None where the kind uses none.

    Raises UnknownGallery; a kind that enrols gets a new one instead, or RemovedMeanwhile where the gallery was removed
    after the job was accepted.
    """
    name = kind.gallery(registry.validate_params(kind, job.params))
    if name is None:
        return None
    db = cache.db
    row = galleries.find_gallery(db, job.project, name)
    if row is None and kind.enrolls:
        with db.read() as session:
            refuse_removed(session, job.project, name, [], job.id)
        row = galleries.ensure_gallery(db, job.project, name)
    if row is None:
        raise UnknownGallery(
            f"There is no gallery {name[:100]!r}; enrol faces into it first, or make it with "
            f"`saccade galleries create {name[:100]}` (POST /v1/galleries).",
            field="params.gallery",
            received=name[:100],
        )
    return JobGallery(cache.snapshot(row, scratch / "gallery", check), scratch, kind.enrolls)


def _checked(message: dict[str, Any], files: dict[str, InputFile], scratch: Path) -> tuple[dict[str, Any], InputFile]:
    """What the child told of a face, checked: it has read hostile files."""
    try:
        values = [float(value) for value in message["embedding"]]
        if not 1 <= len(values) <= _MOST_DIMENSIONS or not abs(math.hypot(*values) - 1.0) < 0.01:
            raise ValueError("the embedding has not unit length")  # noqa: TRY301 - all that is wrong is told alike
        source = files[_place(str(message["source"]))]
        face: dict[str, Any] = {
            "person": person_name(str(message["person"])),
            "model": str(message["model"]),
            "embedding": struct.pack(f"<{len(values)}f", *values),
            "quality": storable({str(name): float(value) for name, value in message["quality"].items()}),
            **{name: _picture(scratch, str(message[name])) for name in _PICTURES},
        }
    except (KeyError, TypeError, ValueError, AttributeError, OSError, OverflowError) as error:
        raise EngineFailed(f"The runner enrolled a face that cannot be kept: {type(error).__name__}.") from error
    if not 1 <= len(face["model"]) <= 200:
        raise EngineFailed("The runner enrolled a face without the name of its network.")
    return face, source


def _picture(scratch: Path, name: str) -> Path:
    path = (scratch / name).resolve(strict=True)
    if not path.is_relative_to(scratch.resolve()) or not path.is_file() or path.stat().st_size > _PICTURE_BYTES:
        raise ValueError("no picture of the run")
    return path


def _new_face(face: dict[str, Any], source: InputFile, job: JobRow, gallery: GalleryRow) -> NewFace:
    face_id = new_id("face")
    prefix = picture_prefix(gallery.id, face_id)
    place = _place(source.field)
    reference = _reference(job, place)
    return NewFace(
        id=face_id,
        person=face["person"],
        model=face["model"],
        embedding=face["embedding"],
        quality=face["quality"],
        crop_key=f"{prefix}crop.jpg",
        photo_key=f"{prefix}photo.jpg",
        source=f"inputs.{place}={reference}",
        source_sha256=source.sha256,
        file_id=reference if reference.startswith("file_") else None,
    )


def _place(of: str) -> str:
    """``images[3]`` of ``inputs.images[3]``: runners name an input in either way."""
    return re.sub(r"^(inputs\.)+", "", of)


def _reference(job: JobRow, of: str) -> str:
    """What the request gave at this place of its inputs; of a ``data:`` URI its type, of others at most so much."""
    found = _FIELD.fullmatch(of)
    value: Any = job.inputs.get(found[1]) if found else None
    if found and found[2] is not None:
        value = value[int(found[2])]
    text = str(value)
    return text.partition(",")[0] if text.startswith("data:") else text[:_REFERENCE_CHARACTERS]
