"""What ``calibrate_gallery`` takes and gives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade_core.kind import Artifact, GalleryName, Kind, Params, Result

Rate = Annotated[float, Field(ge=0, le=1)]


class CalibrateGalleryParams(Params):
    """The gallery, and how rarely two people may pass as one."""

    gallery: GalleryName = Field(description="Name of the gallery")
    max_false_accept_rate: float = Field(
        default=0.001, gt=0, lt=1, description="Share of comparisons of two people that may pass as one person"
    )


class CalibrateGalleryPoint(Result):
    """What a threshold does to the gallery's pairs; a rate is null where there are no pairs to tell it from."""

    threshold: float
    false_accept_rate: Rate | None
    false_reject_rate: Rate | None


class CalibrateGalleryLookAlikes(Result):
    """Two people: similarity of their two most alike photos (``best``), and of all of them on average (``mean``)."""

    first: str
    second: str
    best: float
    mean: float


class CalibrateGalleryPhoto(Result):
    """A photo that looks like no other of its person (``best``: the greatest similarity with one), and the other
    person it is most like."""

    face: str = Field(description="Id of the face in the gallery")
    person: str
    best: float
    nearest: str | None
    nearest_similarity: float | None


class CalibrateGalleryResult(Result):
    """The threshold for the rate that was asked for, what it does to the gallery's own pairs, and what is doubtful in
    the gallery; ``notes`` say how far the figures can be trusted. The rates are of comparisons of two photos: a search
    makes one with each face of the gallery."""

    threshold: float
    false_accept_rate: Rate | None
    false_reject_rate: Rate | None
    people: int
    faces: int
    genuine_pairs: int
    impostor_pairs: int
    curve: list[CalibrateGalleryPoint]
    look_alikes: list[CalibrateGalleryLookAlikes]
    poor_photos: list[CalibrateGalleryPhoto]
    notes: list[str]


KIND = Kind(
    name="calibrate_gallery",
    pool="cpu",
    summary="Find the threshold for a face gallery from its own photos, and what is doubtful in it.",
    inputs={},
    params=CalibrateGalleryParams,
    result=CalibrateGalleryResult,
    artifacts=(
        Artifact("curve.png", "Both error rates over the threshold, and how similar the gallery's pairs are"),
        Artifact("curve.csv", "Threshold, false-accept rate, false-reject rate"),
    ),
    models=lambda _: ("mobilefacenet",),
    gallery=lambda params: params.gallery,
)
