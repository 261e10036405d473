"""What kinds with an input ``media`` (a picture or a video) share in their contracts: light (pydantic only)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Artifact, Input, Params, Result
from saccade_models.video_types import VideoFacts, VideoGap

MEDIA = Input(accepts=("image", "video"), description="A picture or a video")

MEDIA_ARTIFACTS = (
    Artifact("overlay.png", "Of a picture: what was found, drawn on it"),
    Artifact("overlay.mp4", "Of a video: the same, as H.264 that plays in a browser"),
    Artifact("frames.jsonl", "Of a video: what was found in each frame, one JSON object a line"),
    Artifact("parts/*/*", "Of a video while it runs: the segments that are finished"),
)


class MediaParams(Params):
    """Parameters of every kind that looks at pictures and videos."""

    overlay: bool = Field(default=True, description="Draw what was found: overlay.png, overlay.mp4")
    every_n: int = Field(default=1, ge=1, le=1000, description="Of a video: look at every n-th frame")
    max_failure_rate: float = Field(
        default=0.1, ge=0, le=1, description="Of a video: share of frames that may be unreadable"
    )


class VideoSummary(Result):
    """What a job saw in a video, over all its frames; the frames one by one are in ``frames.jsonl``."""

    facts: VideoFacts
    frames_seen: int = Field(description="Frames looked at")
    frames_with_items: int = Field(description="Of these, frames in which something was found")
    items: int = Field(description="All that was found, summed over the frames")
    most_at_once: int = Field(description="The most that was found in one frame")
    gaps: list[VideoGap] = Field(description="Frames that could not be read, and are missing: the first 1,000 gaps")
    gaps_left_out: int = Field(default=0, description="How many gaps more there are")


class MediaResult(Result):
    """Results of every kind that looks at pictures and videos; ``video`` is null for a picture."""

    media: Literal["image", "video"]
    width: int = Field(description="Pixels, upright")
    height: int = Field(description="Pixels, upright")
    video: VideoSummary | None = None
