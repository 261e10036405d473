"""A video of pictures, one frame each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_models.video_types import VideoFacts


class AssembleVideoParams(Params):
    """Rate and codec. The first picture sets the size: others are fitted inside it, with black bars."""

    fps: float = Field(default=25.0, ge=0.1, le=240, description="Pictures a second")
    codec: Literal["h264", "mjpeg", "xvid"] = Field(
        default="h264", description="h264: MP4 that plays in browsers; mjpeg and xvid (MPEG-4 part 2): AVI"
    )


class AssembleVideoResult(Result):
    """The video made. An odd width or height of the first picture grows by 1, a copy of the last column or row."""

    video: VideoFacts


KIND = Kind(
    name="assemble_video",
    pool="cpu",
    summary="Make a video of pictures, in the order given.",
    inputs={
        "images": Input(accepts=("image",), description="The pictures, in order", many=True, max_items=20_000),
    },
    params=AssembleVideoParams,
    result=AssembleVideoResult,
    artifacts=(
        Artifact("video.mp4", "The video, for codec h264"),
        Artifact("video.avi", "The video, for codecs mjpeg and xvid"),
    ),
    time_limit_s=3600.0,
)
