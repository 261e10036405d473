"""What results say about videos: light (pydantic only), so that contracts may import it."""

from __future__ import annotations

from pydantic import Field

from saccade_core.kind import Result


class VideoFacts(Result):
    """A video as a player shows it: after rotation metadata, without its sound."""

    width: int = Field(description="Pixels, after rotation metadata")
    height: int = Field(description="Pixels, after rotation metadata")
    fps: float = Field(description="Mean frames per second; the rate may vary inside the video")
    frames: int = Field(description="Frames in the file, counted")
    duration_s: float = Field(description="From the first frame's begin to the last one's end, in seconds")
    codec: str = Field(description="FFmpeg's name of the codec: h264, hevc, vp9, mjpeg, ...")


class VideoGap(Result):
    """A run of frames that could not be delivered because the file is damaged there."""

    from_index: int = Field(description="First frame lost, counted from 0")
    to_index: int = Field(description="Last frame lost")
    from_time_s: float
    to_time_s: float
    message: str
