from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InputTooLarge, InvalidRequest, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.assemble_video.contract import AssembleVideoParams
from saccade_kinds.assemble_video.runner import letterbox, run
from saccade_models.video import VideoReader
from saccade_models.video_testing import number_of, numbered


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run")


def pictures(folder: Path, count: int, width: int = 128, height: int = 96) -> list[Path]:
    paths = [folder / f"picture-{i}.png" for i in range(count)]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), numbered(index, width, height))
    return paths


@pytest.mark.parametrize(
    ("codec", "name", "suffix"), [("h264", "h264", "mp4"), ("mjpeg", "mjpeg", "avi"), ("xvid", "mpeg4", "avi")]
)
def test_pictures_in_order(tmp_path: Path, context: LocalContext, codec: Any, name: str, suffix: str) -> None:
    result = run(inputs_of(images=pictures(tmp_path, 12)), AssembleVideoParams(fps=8, codec=codec), context)
    assert result.video.model_dump() == {
        "width": 128,
        "height": 96,
        "fps": 8.0,
        "frames": 12,
        "duration_s": 1.5,
        "codec": name,
    }
    with VideoReader(context.artifacts / f"video.{suffix}") as video:
        assert [number_of(frame.bgr()) for frame in video.frames()] == list(range(12))
    assert context.reported[-1] == (12, 12, "frames")


def test_browsers_can_play_it(tmp_path: Path, context: LocalContext) -> None:
    result = run(inputs_of(images=pictures(tmp_path, 3, 127, 95)), AssembleVideoParams(), context)
    assert (result.video.width, result.video.height) == (128, 96)
    with av.open(str(context.artifacts / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_other_sizes_are_fitted_into_the_first(tmp_path: Path, context: LocalContext) -> None:
    first, wide = tmp_path / "first.png", tmp_path / "wide.png"
    cv2.imwrite(str(first), np.full((96, 128, 3), 200, dtype=np.uint8))
    cv2.imwrite(str(wide), np.full((50, 400, 3), 200, dtype=np.uint8))
    run(inputs_of(images=[first, wide]), AssembleVideoParams(), context)
    with VideoReader(context.artifacts / "video.mp4") as video:
        _, second = [frame.bgr() for frame in video.frames()]
    assert second[48, 64].min() > 180
    assert second[20].max() < 30
    assert second[76].max() < 30


def test_letterbox() -> None:
    tall = letterbox(np.full((400, 50, 3), 200, dtype=np.uint8), 128, 96)
    assert tall.shape == (96, 128, 3)
    assert (tall.max(axis=(0, 2)) > 0).sum() == 12
    line = letterbox(np.full((1, 5000, 3), 200, dtype=np.uint8), 128, 96)
    assert (line.max(axis=(1, 2)) > 0).sum() == 1


def test_bad_pictures_are_named(tmp_path: Path, context: LocalContext) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    with pytest.raises(UnreadableInput) as caught:
        run(inputs_of(images=[*pictures(tmp_path, 2), bad]), AssembleVideoParams(), context)
    assert caught.value.field == "images[2]"
    with pytest.raises(InvalidRequest):
        run(inputs_of(images=[]), AssembleVideoParams(), context)
    long = tmp_path / "long.png"
    cv2.imwrite(str(long), np.zeros((1, 20_000), dtype=np.uint8))
    with pytest.raises(InputTooLarge) as large:
        run(inputs_of(images=[long]), AssembleVideoParams(), context)
    assert large.value.received == "20000x1"


def test_cancel(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=3)
    with pytest.raises(Cancelled):
        run(inputs_of(images=pictures(tmp_path, 8)), AssembleVideoParams(), context)
    assert len(context.reported) == 3


@pytest.mark.parametrize("params", [{"fps": 0}, {"fps": 1000}, {"codec": "gif"}, {"size": 3}])
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AssembleVideoParams.model_validate(params)
