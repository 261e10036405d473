"""Writing videos: H.264 in MP4 that plays in every browser, Motion JPEG or MPEG-4 part 2 (Xvid) in AVI."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from saccade_core.errors import EngineFailed
from saccade_models.images import Pixels
from saccade_models.video_pictures import yuv_frame

VideoCodec = Literal["h264", "mjpeg", "xvid"]
SUFFIXES: dict[VideoCodec, str] = {"h264": ".mp4", "mjpeg": ".avi", "xvid": ".avi"}

#: Longest side that the encoders take.
MAX_SIDE = 16_384

_ENCODERS: dict[VideoCodec, str] = {"h264": "libx264", "mjpeg": "mjpeg", "xvid": "mpeg4"}
_QP_TO_LAMBDA = 118  # FF_QP2LAMBDA
_CLOCK = Fraction(1, 90_000)
# A 1280x720 frame in 6.3 ms of one core, where "veryfast" at 20 takes 15, in files of about the same size.
_FAST = {"preset": "superfast", "crf": "23", "bf": "0", "threads": "1"}


class VideoWriter:
    """Encodes frames of one size into ``path``; a context manager that finishes the file at its end.

    Sides must be even for 4:2:0 chroma: an odd one gets one more row or column, a copy of the last
    (``width`` and ``height`` say the size written). H.264 keeps each frame's own time where ``write`` is given
    one, counted from ``start_s``; AVI has a constant rate. An error inside ``with`` leaves the file unfinished.

    ``fast`` H.264 takes half the time, for slightly coarser pictures. It has no B-frames: such files of one size and
    rate have the same headers, and can be joined without coding them anew.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: float,
        codec: VideoCodec = "h264",
        start_s: float = 0.0,
        fast: bool = False,
    ) -> None:
        self.width, self.height = width + width % 2, height + height % 2
        self.frames = 0
        self.codec: VideoCodec = codec
        # MPEG-4 part 2 stores the rate in 16 bits; 1001 keeps 30000/1001 exact.
        self.rate = Fraction(fps).limit_denominator(max(1, min(1001, int(65_535 / max(fps, 1)))))
        self._last_ticks = -1
        self._start_ticks = round(Fraction(start_s) / _CLOCK)
        self._fast = fast
        mp4 = codec == "h264"
        options = {"movflags": "+faststart"} if mp4 else {}
        self._container = av.open(str(path), "w", format="mp4" if mp4 else "avi", options=options)
        self._stream: Any = self._container.add_stream(_ENCODERS[codec], rate=self.rate)
        self._configure()

    def _configure(self) -> None:
        stream, context = self._stream, self._stream.codec_context
        stream.width, stream.height = self.width, self.height
        stream.pix_fmt = "yuvj420p" if self.codec == "mjpeg" else "yuv420p"
        if self.codec == "h264":
            stream.options = _FAST if self._fast else {"preset": "veryfast", "crf": "20"}
            context.time_base = _CLOCK
            context.colorspace, context.color_range = 1, ColorRange.MPEG  # BT.709
            context.color_primaries, context.color_trc = 1, 1
            return
        context.flags |= 2  # AV_CODEC_FLAG_QSCALE: constant quality
        context.global_quality = 3 * _QP_TO_LAMBDA
        context.time_base = 1 / self.rate
        if self.codec == "xvid":
            context.codec_tag = "XVID"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                self._mux(None)
        finally:
            self._container.close()

    def write(self, pixels: Pixels, time_s: float | None = None) -> None:
        """Add a frame, (H, W, 3) uint8 BGR of the writer's size, shown from ``time_s`` (None: by the rate)."""
        frame = yuv_frame(self._padded(pixels), bt709=self.codec == "h264", full_range=self.codec == "mjpeg")
        if self.codec == "h264":
            seconds = self.frames / self.rate if time_s is None else Fraction(time_s)
            # Times must rise by at least one tick, or the muxer refuses the frame.
            self._last_ticks = max(self._last_ticks + 1, round(seconds / _CLOCK) - self._start_ticks)
            frame.pts, frame.time_base = self._last_ticks, _CLOCK
        else:
            frame.pts, frame.time_base = self.frames, 1 / self.rate
        self.frames += 1
        self._mux(frame)

    def _padded(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if (width, height) == (self.width, self.height):
            return pixels
        bottom, right = self.height - height, self.width - width
        if bottom not in {0, 1} or right not in {0, 1}:
            raise ValueError(f"a frame has {width} x {height} pixels, the video {self.width} x {self.height}")
        return np.asarray(cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)

    def _mux(self, frame: VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except FFmpegError as error:
            raise EngineFailed(f"The video encoder failed: {error.strerror}.") from None
