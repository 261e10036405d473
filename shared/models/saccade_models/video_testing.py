"""Small videos for tests, whose frames carry their number as a row of black and white squares."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from saccade_models.images import Pixels
from saccade_models.video_write import VideoCodec, VideoWriter

_BITS = 8
_CELL = 12


def numbered(index: int, width: int = 128, height: int = 96) -> Pixels:
    """A picture (BGR) with ``index`` (0..255) as bits at its top, and a ball that moves with it; at least 96 wide."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:] = np.linspace(40, 120, width).astype(np.uint8)[None, :, None]
    pixels[:, :, 0] = 60
    for bit in range(_BITS):
        pixels[:_CELL, bit * _CELL : (bit + 1) * _CELL] = 235 if index >> bit & 1 else 20
    cv2.circle(pixels, (10 + index * 7 % (width - 20), height - 30), 9, (40, 160, 230), -1)
    return pixels


def number_of(pixels: Pixels) -> int:
    """The number that ``numbered`` wrote into a picture of the same size."""
    middle = _CELL // 2
    return sum(1 << bit for bit in range(_BITS) if pixels[middle, bit * _CELL + middle].mean() > 128)


def numbered_clip(
    path: Path,
    frames: int = 40,
    *,
    width: int = 128,
    height: int = 96,
    fps: float = 25,
    codec: VideoCodec = "h264",
    times_s: Sequence[float] | None = None,
) -> Path:
    """A video of ``numbered`` pictures, at ``times_s`` where given."""
    with VideoWriter(path, width=width, height=height, fps=fps, codec=codec) as writer:
        for index in range(frames):
            writer.write(numbered(index, width, height), times_s[index] if times_s else None)
    return path


def turned(source: Path, path: Path, degrees: float, *, hflip: bool = False) -> Path:
    """``source`` copied into ``path`` with rotation metadata, ``degrees`` counter-clockwise as a player shows it."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(degrees, hflip=hflip)
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


def sound_only(path: Path) -> Path:
    """A file with half a second of silence and no video stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def no_frames(path: Path) -> Path:
    """An MP4 whose header names a video stream, and that holds no frame."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x48", "-t", "0"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *source, "-movflags", "empty_moov", str(path)], check=True)
    return path


def with_damage(source: Path, path: Path, start: float, end: float) -> Path:
    """``source`` with its bytes from ``start`` to ``end`` (fractions of its size) overwritten by noise."""
    data = bytearray(source.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(7).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return path
