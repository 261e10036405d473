from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.extract_frames.contract import ExtractFramesParams
from saccade_kinds.extract_frames.runner import run

pytestmark = pytest.mark.stack


def test_every_fifth_of_275_frames(tmp_path: Path) -> None:
    path = asset("videos/short_hamilton_clip.mp4")
    context = LocalContext(tmp_path)
    result = run(inputs_of(video=path), ExtractFramesParams(every_n=5), context)
    assert [frame.index for frame in result.frames] == list(range(0, 275, 5))
    assert (result.count, result.video.frames, result.video.fps, result.gaps) == (55, 275, 29.97, [])
    # The same pictures as OpenCV reads.
    video = cv2.VideoCapture(str(path))
    for index in range(275):
        done, expected = video.read()
        assert done
        if index % 5 == 0:
            pixels = cv2.imread(str(context.artifacts / f"frames/frame_{index:06d}.jpg"))
            assert pixels is not None
            assert np.abs(pixels.astype(int) - expected).mean() < 3


def test_cuts_of_a_broadcast(tmp_path: Path) -> None:
    path = asset("videos/short_hamilton_clip.mp4")
    result = run(inputs_of(video=path), ExtractFramesParams(scenes=True), LocalContext(tmp_path))
    assert [frame.index for frame in result.frames] == [0, 20, 82, 211]  # looked at


def test_another_rate(tmp_path: Path) -> None:
    path = asset("videos/car-detection.mp4")
    result = run(inputs_of(video=path), ExtractFramesParams(every_n=100, max_side=64), LocalContext(tmp_path))
    assert (result.video.frames, result.video.fps, result.video.duration_s) == (377, 12.5, 30.16)
    assert [frame.index for frame in result.frames] == [0, 100, 200, 300]
