"""``enroller``: a kind that adds a face to a gallery for each input, without looking at it."""

from __future__ import annotations

from saccade_core.kind import GalleryName, Input, Kind, Params, PersonName, Result


class EnrollerParams(Params):
    """Whom to enrol, and how to behave."""

    gallery: GalleryName
    person: PersonName
    model: str = "network@1"
    embedding: tuple[float, ...] = (0.6, 0.8, 0.0, 0.0)
    gate: str = ""
    die: bool = False


class EnrollerResult(Result):
    """What was in the gallery before."""

    enrolled: int
    revision: int


def _gallery(params: EnrollerParams) -> str:
    return params.gallery


KIND = Kind(
    name="enroller",
    pool="cpu",
    summary="Enrols a face for each input; for tests.",
    inputs={"images": Input(("image", "text"), "Anything", many=True)},
    params=EnrollerParams,
    result=EnrollerResult,
    gallery=_gallery,
    enrolls=True,
    time_limit_s=60,
    memory_mb=700,
)
