"""Pictures out of a video: every n-th, by rate, by time, key frames, or the first of each scene."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_models.video_types import VideoFacts, VideoGap

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class ExtractFramesParams(Params):
    """At most one of ``every_n``, ``fps``, ``times_s``, ``keyframes``, ``scenes``; time 0 is the first frame."""

    every_n: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Every n-th frame; 5 where no other way is given"
    )
    fps: float | None = Field(
        default=None, gt=0, le=1000, description="So many pictures a second; none twice where the video has fewer"
    )
    times_s: list[Seconds] | None = Field(
        default=None, min_length=1, max_length=10_000, description="The frames on the screen at these times"
    )
    keyframes: bool = Field(default=False, description="The frames that are coded without others; the fastest way")
    scenes: bool = Field(default=False, description="The first frame of each scene")
    scene_threshold: float = Field(
        default=27.0,
        gt=0,
        le=255,
        description="For scenes: a cut is where hue, saturation and value change by this much on average (0..255)",
    )
    start_s: Seconds = 0.0
    end_s: Seconds | None = Field(default=None, description="Frames from here on are left out; none: the end")
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = Field(default=90, ge=1, le=100, description="For jpeg and webp")
    max_side: int | None = Field(
        default=None, ge=16, le=16_384, description="Larger pictures are made smaller, to this longer side"
    )
    max_frames: int = Field(default=10_000, ge=1, le=100_000, description="Stop after so many pictures")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = ("every_n", "fps", "times_s", "keyframes", "scenes")
        values = {way: getattr(self, way) for way in ways}
        given = [way for way, value in values.items() if value is not None and value is not False]
        if len(given) > 1:
            raise ValueError(f"give only one of {', '.join(ways)}; received {' and '.join(given)}")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s ({self.end_s:g}) must be after start_s ({self.start_s:g})")
        return self


class ExtractFramesFrame(Result):
    """One picture taken out."""

    index: int = Field(description="The frame's number in the video, from 0")
    time_s: float = Field(description="From the first frame, in seconds")
    name: str = Field(description="The artefact")


class ExtractFramesResult(Result):
    """The pictures, and what was lost to damage in the file."""

    video: VideoFacts
    count: int
    frames: list[ExtractFramesFrame]
    gaps: list[VideoGap] = Field(description="Damaged parts of the video that were met on the way")
    truncated: bool = Field(description="Whether max_frames left pictures out")


KIND = Kind(
    name="extract_frames",
    pool="cpu",
    summary="Take pictures out of a video: every n-th frame, by rate, by time, key frames, or scenes.",
    inputs={"video": Input(accepts=("video",), description="The video; its sound is not read")},
    params=ExtractFramesParams,
    result=ExtractFramesResult,
    artifacts=(
        Artifact("frames/*", "The pictures, named by the frame's number: frames/frame_000005.jpg"),
        Artifact("contact-sheet.jpg", "Up to 48 of the pictures, evenly spread, on one sheet with their times"),
    ),
    time_limit_s=3600.0,
)
