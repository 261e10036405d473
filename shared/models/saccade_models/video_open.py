"""Opening videos: what may be read, and how large it may be.

Only a local file is opened, only by the demuxers and decoders listed here: playlists, network addresses and image
sequences are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from saccade_core.errors import InputTooLarge, UnreadableInput

if TYPE_CHECKING:
    from av.container.input import InputContainer
    from av.video.stream import VideoStream

DEMUXERS = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "ivf", "mxf")
_CURRENT = {"h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mjpeg", "theora", "prores", "dnxhd"}
_OLDER = {"mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "vc1"}
_LOSSLESS = {"ffv1", "huffyuv", "rawvideo", "png"}
DECODERS = _CURRENT | _OLDER | _LOSSLESS
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: a song's cover


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Caps on what is decoded; checked in the header, in the packets, and again while decoding."""

    max_pixels: int = 8192 * 4352
    max_duration_s: float = 4 * 3600
    max_frames: int = 500_000

    def check_size(self, width: int, height: int, field: str) -> None:
        """Raise InputTooLarge for a frame of too many pixels."""
        if width * height > self.max_pixels:
            text = f"A frame has {width}x{height} pixels; at most {self.max_pixels:,} are read."
            raise InputTooLarge(text, field=field, received=f"{width}x{height}")

    def check_duration(self, seconds: float, field: str) -> None:
        """Raise InputTooLarge for a video that lasts too long."""
        if seconds > self.max_duration_s:
            text = f"The video lasts {seconds:.0f} s; at most {self.max_duration_s:.0f} s are read."
            raise InputTooLarge(text, field=field, received=seconds)

    def check_count(self, frames: int, field: str) -> None:
        """Raise InputTooLarge for a video of too many frames."""
        if frames > self.max_frames:
            text = f"The video has {frames:,} frames or more; at most {self.max_frames:,} are read."
            raise InputTooLarge(text, field=field, received=frames)


def open_video(path: Path, field: str, limits: VideoLimits) -> tuple[InputContainer, VideoStream]:
    """The container and its first video stream, ready to decode; the caller closes the container.

    Raises UnreadableInput (not a video, none that is read here, no video stream) and InputTooLarge (by the header).
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(DEMUXERS),
        "max_pixels": str(limits.max_pixels),
    }
    try:
        container = av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError):
        raise UnreadableInput("The file is not a video that can be read.", field=field) from None
    try:
        stream = _stream(container, field, limits)
    except BaseException:
        container.close()
        raise
    stream.codec_context.options = {"max_pixels": options["max_pixels"]}
    stream.thread_type = "AUTO"
    return container, stream


def _stream(container: InputContainer, field: str, limits: VideoLimits) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & _ATTACHED_PICTURE]
    if not streams:
        raise UnreadableInput("The file holds no video stream.", field=field)
    stream = streams[0]
    # A stream for which FFmpeg has no decoder has no codec context.
    context = getattr(stream, "codec_context", None)
    codec = context.codec.canonical_name if context is not None else "unknown"
    if codec not in DECODERS:
        raise UnreadableInput(f"Videos coded as {codec!r} are not read.", field=field, received=codec)
    limits.check_size(stream.width, stream.height, field)
    if stream.duration is not None and stream.time_base is not None:
        limits.check_duration(float(stream.duration * stream.time_base), field)
    limits.check_count(stream.frames, field)
    return stream
