"""What ``find_landmarks`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade_core.kind import Artifact, Kind, Result
from saccade_models.media_types import MEDIA, MEDIA_ARTIFACTS, MediaParams, MediaResult

_MODELS = {
    "face_mesh": "face_landmarker",
    "hands": "hand_landmarker",
    "pose": "pose_landmarker",
    "holistic": "holistic_landmarker",
}

Unit = Annotated[float, Field(ge=0, le=1)]


class FindLandmarksParams(MediaParams):
    """What is looked for, how many of it, and how sure the models must be."""

    what: Literal["face_mesh", "hands", "pose", "holistic"] = Field(
        default="face_mesh",
        description="face_mesh: 478 points of each face that is near the camera (about an eighth of the picture); "
        "hands: 21 of each hand; pose: 33 of each body; holistic: face, pose and hands of one person",
    )
    max_subjects: int = Field(
        default=5, ge=1, le=20, description="At most so many faces, hands or bodies; holistic always takes one person"
    )
    min_score: float = Field(
        default=0.5, ge=0, le=1, description="How sure the models must be, both of finding it and of its points"
    )
    blendshapes: bool = Field(
        default=True, description="Of faces also the expression, as 52 coefficients (ARKit's names)"
    )
    csv: bool = Field(default=False, description="Also write all points as landmarks.csv")


class FindLandmarksSubject(Result):
    """One face, hand or body; left and right are the person's own, in a picture that is not mirrored.

    ``points`` [x, y, z]: x and y in pixels (a pose's may lie outside of the picture), z in the same scale, smaller
    towards the camera, counted from the head's centre, the wrist, or the middle of the hips. Their order is
    MediaPipe's: face mesh 478 (468 to 477 are the irises), hand 21 (0 wrist, 4 tip of the thumb, 8, 12, 16, 20 of the
    fingers), pose 33 (0 nose, 11 and 12 shoulders, 23 and 24 hips, 27 and 28 ankles, odd ones left).

    ``score``: of a hand how sure its ``handedness`` is; of a pose the mean probability that its points are in the
    picture; null of faces and where MediaPipe gives none (holistic's hands). ``visibility`` is of each point of a pose.
    """

    what: Literal["face_mesh", "hand", "pose"]
    points: list[tuple[float, float, float]]
    score: Unit | None = None
    handedness: Literal["left", "right"] | None = None
    visibility: list[Unit] | None = None
    blendshapes: dict[str, Unit] | None = None


class FindLandmarksResult(MediaResult):
    """All subjects of a picture; null for a video, whose subjects are in frames.jsonl."""

    subjects: list[FindLandmarksSubject] | None


def _models(params: FindLandmarksParams) -> list[str]:
    return [_MODELS[params.what]]


KIND = Kind(
    name="find_landmarks",
    pool="cpu",
    summary="Find the points of faces, hands and bodies in a picture or a video.",
    inputs={"media": MEDIA},
    params=FindLandmarksParams,
    result=FindLandmarksResult,
    artifacts=(
        *MEDIA_ARTIFACTS,
        Artifact("landmarks.csv", "All points: frame, time_s, subject, what, handedness, point, x, y, z, visibility"),
    ),
    models=_models,
    parts=True,
    together=8,
)
