"""``finder``: a kind that tells what it is given of a gallery."""

from __future__ import annotations

from saccade_core.kind import GalleryName, Kind, Params, Result


class FinderParams(Params):
    """Which gallery, and when to look at it."""

    gallery: GalleryName
    gate: str = ""
    enroll: bool = False


class FinderResult(Result):
    """Who is in the gallery, in the order of its faces."""

    revision: int
    model: str
    dimensions: int
    owners: list[str]
    faces: list[str]
    embeddings: list[float]


def _gallery(params: FinderParams) -> str:
    return params.gallery


KIND = Kind(
    name="finder",
    pool="cpu",
    summary="Tells what is in a gallery; for tests.",
    inputs={},
    params=FinderParams,
    result=FinderResult,
    gallery=_gallery,
    time_limit_s=60,
    memory_mb=700,
)
