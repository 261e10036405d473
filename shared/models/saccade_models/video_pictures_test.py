from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from saccade_models.images import Pixels
from saccade_models.video import VideoReader
from saccade_models.video_pictures import fit

SOURCE = ["-f", "lavfi", "-i", "smptehdbars=size=320x240:rate=25:duration=0.2"]


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def first_picture_by_ffmpeg(video: Path, folder: Path) -> Pixels:
    """What the ffmpeg program makes of the first frame, as RGB in a PNG."""
    path = folder / "reference.png"
    ffmpeg("-i", video, "-frames:v", "1", "-update", "1", "-pix_fmt", "rgb24", path)
    return decoded(path.read_bytes())


def decoded(data: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, dtype=np.uint8)


def difference(first: Pixels, second: Pixels) -> float:
    assert first.shape == second.shape
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize(
    ("filters", "tags"),
    [
        ("format=yuv420p", []),
        ("scale=out_color_matrix=bt601:out_range=tv,format=yuv420p", ["-colorspace", "smpte170m"]),
        ("scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", ["-colorspace", "bt709", "-color_range", "tv"]),
        ("scale=out_color_matrix=bt709:out_range=pc,format=yuv420p", ["-colorspace", "bt709", "-color_range", "pc"]),
        (
            "scale=out_color_matrix=bt601:out_range=pc,format=yuv420p",
            ["-colorspace", "smpte170m", "-color_range", "pc"],
        ),
        ("scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p", ["-colorspace", "bt2020nc"]),
        ("scale=out_color_matrix=bt709,format=yuv444p", ["-colorspace", "bt709"]),
        ("format=yuv420p10le", []),
        ("crop=318:238,format=yuv420p", []),
    ],
)
def test_colours_are_those_of_the_ffmpeg_program(tmp_path: Path, filters: str, tags: list[str]) -> None:
    path = tmp_path / "colours.mp4"
    ffmpeg(*SOURCE, "-vf", filters, *tags, "-c:v", "libx264", "-crf", "10", path)
    expected = first_picture_by_ffmpeg(path, tmp_path)
    with VideoReader(path) as video:
        frame = next(video.frames())
        assert difference(frame.bgr(), expected) < 2.5
        assert difference(decoded(frame.jpeg(95)), expected) < 3.5
        # The two ways to a JPEG, from planes and over RGB, agree.
        assert difference(decoded(frame.jpeg(95)), frame.bgr()) < 3


def test_a_wrong_matrix_or_range_would_be_seen(tmp_path: Path) -> None:
    path, plain = tmp_path / "colours.mp4", tmp_path / "untagged.mp4"
    filters = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    ffmpeg(*SOURCE, "-vf", filters, "-colorspace", "bt709", "-c:v", "libx264", "-crf", "10", path)
    ffmpeg(*SOURCE, "-vf", filters, "-c:v", "libx264", "-crf", "10", plain)
    expected = first_picture_by_ffmpeg(path, tmp_path)
    with VideoReader(plain) as video:
        assert difference(decoded(next(video.frames()).jpeg(95)), expected) > 3.5


@pytest.mark.parametrize("max_side", [None, 100])
def test_odd_sizes_as_jpeg(tmp_path: Path, max_side: int | None) -> None:
    path = tmp_path / "odd.mkv"
    ffmpeg(*SOURCE, "-vf", "format=yuv444p,crop=319:237,format=yuvj420p", "-c:v", "mjpeg", "-q:v", "2", path)
    expected = first_picture_by_ffmpeg(path, tmp_path)
    with VideoReader(path) as video:
        frame = next(video.frames())
        picture = decoded(frame.jpeg(95, max_side))
        assert frame.picture.format.name == "yuvj420p"
    if max_side is None:
        assert difference(picture, expected) < 3
    else:
        assert picture.shape[1::-1] == (100, 74)


def test_fit() -> None:
    assert fit(1920, 1080, None) == (1920, 1080)
    assert fit(1920, 1080, 1920) == (1920, 1080)
    assert fit(1920, 1080, 960) == (960, 540)
    assert fit(1080, 1920, 960) == (540, 960)
    assert fit(10_000, 1, 100) == (100, 1)
