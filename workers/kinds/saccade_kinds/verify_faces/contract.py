"""What ``verify_faces`` takes and gives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result

Box = tuple[float, float, float, float]


class VerifyFacesParams(Params):
    """How alike two faces must be to be one person's."""

    threshold: float = Field(
        default=0.45, ge=-1, le=1, description="Least cosine similarity; the default was measured with the network used"
    )


class VerifyFacesResult(Result):
    """Whether both faces are one person's; boxes [x1, y1, x2, y2] in pixels of each picture.

    ``warnings`` name a picture with several faces (the largest is compared) or of doubtful quality.
    """

    same: bool
    similarity: Annotated[float, Field(ge=-1.001, le=1.001)]
    threshold: float
    first_box: Box
    second_box: Box
    warnings: list[str]


KIND = Kind(
    name="verify_faces",
    pool="cpu",
    summary="Say whether two photos show the same person.",
    inputs={
        "first": Input(accepts=("image",), description="A photo of a person"),
        "second": Input(accepts=("image",), description="Another photo"),
    },
    params=VerifyFacesParams,
    result=VerifyFacesResult,
    artifacts=(Artifact("overlay.png", "Both photos side by side, the compared faces marked, and the verdict"),),
    models=lambda _: ("yunet", "mobilefacenet"),
)
