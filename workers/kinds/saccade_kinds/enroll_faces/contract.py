"""What ``enroll_faces`` takes and gives."""

from __future__ import annotations

from pydantic import Field

from saccade_core.kind import Artifact, GalleryName, Input, Kind, Params, PersonName, Result


class EnrollFacesParams(Params):
    """Whose photos these are."""

    gallery: GalleryName = Field(description="Name of the gallery; made where there is none")
    person: PersonName = Field(description="Name of the person on the photos")


class EnrollFacesPhoto(Result):
    """A photo: ``image`` is its file's name, ``input`` its place in the request (``images[3]``)."""

    image: str
    input: str


class EnrollFacesFace(EnrollFacesPhoto):
    """An enrolled face: ``box`` [x1, y1, x2, y2] in pixels; ``quality``: size (px), sharpness, brightness, yaw
    (degrees) and the detector's score."""

    box: tuple[float, float, float, float]
    quality: dict[str, float]


class EnrollFacesRejected(EnrollFacesPhoto):
    """A photo that was not enrolled, and why."""

    reason: str


class EnrollFacesWarning(EnrollFacesPhoto):
    """Something doubtful about a photo that was enrolled all the same."""

    message: str


class EnrollFacesResult(Result):
    """``enrolled`` counts ``faces``."""

    enrolled: int
    faces: list[EnrollFacesFace]
    rejected: list[EnrollFacesRejected]
    warnings: list[EnrollFacesWarning]


KIND = Kind(
    name="enroll_faces",
    pool="cpu",
    summary="Add a person's photos to a face gallery.",
    inputs={"images": Input(accepts=("image",), description="Photos of one person, one face each", many=True)},
    params=EnrollFacesParams,
    result=EnrollFacesResult,
    artifacts=(Artifact("enrolled.jpg", "All photos in small: what was enrolled, and what was not and why"),),
    models=lambda _: ("yunet", "mobilefacenet"),
    gallery=lambda params: params.gallery,
    enrolls=True,
)
