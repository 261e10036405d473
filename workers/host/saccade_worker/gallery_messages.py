"""How a gallery goes to the child process, and a face to be enrolled comes back: as JSON and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from saccade_core.kind import EnrolledFace, GalleryFiles

_PATHS = ("embeddings", "owners", "faces", "people")
#: People of the gallery and revision that was asked for last, and of no other.
_names: dict[tuple[str, int], tuple[str, ...]] = {}


def read_gallery(message: dict[str, Any]) -> GalleryFiles:
    """The runner's view of what ``gallery_cache.Snapshot.message`` told; the names are read from their file.

    The last gallery's names stay in memory, as a run may ask for it often, and there may be very many.
    """
    paths: dict[str, Any] = {name: Path(message[name]) for name in _PATHS}
    people = _people(paths.pop("people"), message["id"], message["revision"])
    facts = {name: message[name] for name in ("id", "name", "revision", "model", "dimensions")}
    return GalleryFiles(**facts, **paths, people=people)


def _people(file: Path, gallery: str, revision: int) -> tuple[str, ...]:
    if (gallery, revision) not in _names:
        _names.clear()
        _names[gallery, revision] = tuple(json.loads(file.read_bytes()))
    return _names[gallery, revision]


def tell_face(face: EnrolledFace, root: Path) -> dict[str, Any]:
    """A face for the pipe; its pictures are named relative to the run's folder ``root``. Raises ValueError."""
    return {
        "person": face.person,
        "embedding": [float(value) for value in face.embedding],
        "quality": {name: float(value) for name, value in face.quality.items()},
        "crop": face.crop.resolve().relative_to(root.resolve()).as_posix(),
        "photo": face.photo.resolve().relative_to(root.resolve()).as_posix(),
        "source": face.source,
        "model": face.model,
    }
