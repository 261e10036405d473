"""What ``detect_faces`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade_core.kind import Kind, Result
from saccade_models.media_types import MEDIA, MEDIA_ARTIFACTS, MediaParams, MediaResult

_MODELS = {"yunet": "yunet", "ssd": "face_ssd", "mediapipe": "blaze_face"}


class DetectFacesParams(MediaParams):
    """Which engine looks, and how sure it must be."""

    engine: Literal["yunet", "haar", "ssd", "mediapipe"] = Field(
        default="yunet",
        description="yunet: the best; ssd: fast on large faces; mediapipe: selfies; haar: the classic, for comparison",
    )
    min_score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Least score; null: the engine's own (yunet 0.7; ssd, mediapipe 0.5; haar 0)",
    )
    scale_factor: float = Field(
        default=1.1, ge=1.01, le=4, description="Haar: each size searched is so many times the last"
    )
    min_neighbors: int = Field(default=5, ge=0, le=1000, description="Haar: so many hits at one place make a face")


class DetectFacesFace(Result):
    """One face: ``box`` [x1, y1, x2, y2] in pixels; ``score`` 0..1 (haar's only ranks).

    ``landmarks`` [x, y], left and right being the person's own. yunet: right eye, left eye, nose, right and left corner
    of the mouth; mediapipe: right eye, left eye, nose, middle of the mouth, right ear, left ear; others: none.
    """

    box: tuple[float, float, float, float]
    score: Annotated[float, Field(ge=0, le=1)]
    landmarks: list[tuple[float, float]]


class DetectFacesResult(MediaResult):
    """The faces of a picture, best first, at most 300; null for a video, whose faces are in frames.jsonl."""

    faces: list[DetectFacesFace] | None


def _models(params: DetectFacesParams) -> list[str]:
    return [_MODELS[params.engine]] if params.engine in _MODELS else []


KIND = Kind(
    name="detect_faces",
    pool="cpu",
    summary="Find faces in a picture or a video.",
    inputs={"media": MEDIA},
    params=DetectFacesParams,
    result=DetectFacesResult,
    artifacts=MEDIA_ARTIFACTS,
    models=_models,
    parts=True,
    together=8,
)
