"""Edits a video: cut out a part, change rate or size, turn it, and any picture operation that keeps the size.

Operations on time (``trim``, ``fps``) are done first, in their order; then each frame goes through the others in
theirs. Frames keep their times, so a varying rate stays as it is unless ``fps`` makes it constant. Rotation
metadata is applied to the pixels. Sound is dropped.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_models.operations import ResizeOperation, RotateOperation, SizeKeepingOperation
from saccade_models.video_types import VideoFacts, VideoGap

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class EditVideoTrim(Params):
    """Keeps what is on the screen from ``start_s`` until ``end_s``, counted in the video as it is at this step."""

    op: Literal["trim"]
    start_s: Seconds = 0.0
    end_s: Seconds | None = Field(default=None, description="None: the end")

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s ({self.end_s:g}) must be after start_s ({self.start_s:g})")
        return self


class EditVideoFps(Params):
    """A constant rate: frames are repeated or left out, and the video lasts as long as before."""

    op: Literal["fps"]
    fps: float = Field(ge=0.1, le=240, description="Frames a second")


EditVideoOperation = Annotated[
    EditVideoTrim | EditVideoFps | RotateOperation | ResizeOperation | SizeKeepingOperation,
    Field(discriminator="op"),
]


class EditVideoParams(Params):
    """What to do; with no operation the video is only coded anew."""

    operations: list[EditVideoOperation] = Field(default=[], max_length=100)


class EditVideoResult(Result):
    """The video made (H.264, an odd width or height grown by 1), and what was lost to damage in the source."""

    video: VideoFacts
    gaps: list[VideoGap] = Field(description="Damaged parts of the source; the frame before stays on the screen")


KIND = Kind(
    name="edit_video",
    pool="cpu",
    summary="Edit a video: trim, rate, size, rotation, and picture operations on every frame.",
    inputs={"video": Input(accepts=("video",), description="The video; its sound is dropped")},
    params=EditVideoParams,
    result=EditVideoResult,
    artifacts=(Artifact("video.mp4", "The video, H.264; plays in browsers"),),
    time_limit_s=3600.0,
)
