from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.edit_video.contract import EditVideoParams, EditVideoResult
from saccade_kinds.edit_video.runner import run
from saccade_models.images import Pixels
from saccade_models.video import VideoReader
from saccade_models.video_testing import no_frames, number_of, numbered, numbered_clip, turned, with_damage


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """50 numbered frames at 25 a second."""
    return numbered_clip(tmp_path / "clip.mp4", 50)


def edited(path: Path, context: LocalContext, *operations: dict[str, Any]) -> EditVideoResult:
    return run(inputs_of(video=path), EditVideoParams.model_validate({"operations": list(operations)}), context)


def made(context: LocalContext) -> tuple[list[Pixels], list[float]]:
    """The pictures and times of the video that was made."""
    with VideoReader(context.artifacts / "video.mp4") as video:
        frames = list(video.frames())
    return [frame.bgr() for frame in frames], [frame.time_s for frame in frames]


def test_no_operation_keeps_everything(clip: Path, context: LocalContext) -> None:
    result = edited(clip, context)
    assert (result.video.frames, result.video.fps, result.video.duration_s) == (50, 25.0, 2.0)
    assert result.gaps == []
    pictures, _ = made(context)
    assert [number_of(pixels) for pixels in pictures] == list(range(50))
    assert np.abs(pictures[7].astype(int) - numbered(7)).mean() < 5
    with av.open(str(context.artifacts / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert context.reported[-1] == (50, 50, "frames")


def test_trim(clip: Path, context: LocalContext) -> None:
    result = edited(clip, context, {"op": "trim", "start_s": 0.4, "end_s": 1.2})
    pictures, times = made(context)
    assert [number_of(pixels) for pixels in pictures] == list(range(10, 30))
    assert times[0] == 0
    assert result.video.duration_s == pytest.approx(0.8, abs=0.01)


def test_a_second_trim_counts_in_what_the_first_left(clip: Path, context: LocalContext) -> None:
    edited(clip, context, {"op": "trim", "start_s": 0.4}, {"op": "trim", "start_s": 0.4, "end_s": 0.6})
    assert [number_of(pixels) for pixels in made(context)[0]] == list(range(20, 25))


@pytest.mark.parametrize(("fps", "expected"), [(5, list(range(0, 50, 5))), (50, [i // 2 for i in range(100)])])
def test_rate(clip: Path, context: LocalContext, fps: float, expected: list[int]) -> None:
    result = edited(clip, context, {"op": "fps", "fps": fps})
    assert (result.video.fps, result.video.duration_s) == (fps, 2.0)
    assert [number_of(pixels) for pixels in made(context)[0]] == expected


def test_a_varying_rate_stays_or_is_made_constant(tmp_path: Path, context: LocalContext) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.0]
    path = numbered_clip(tmp_path / "vfr.mp4", 6, times_s=times)
    edited(path, context, {"op": "brightness", "offset": 10})
    assert made(context)[1] == pytest.approx(times, abs=1e-4)
    edited(path, context, {"op": "trim", "end_s": 1.0}, {"op": "fps", "fps": 10})
    pictures, seen = made(context)
    assert seen == pytest.approx([i / 10 for i in range(10)], abs=1e-4)
    assert [number_of(pixels) for pixels in pictures] == [0, 2, 2, 2, 2, 3, 4, 4, 4, 4]


def test_pictures_are_edited_in_order(clip: Path, context: LocalContext) -> None:
    operations: list[dict[str, Any]] = [
        {"op": "flip", "direction": "horizontal"},
        {"op": "resize", "percent": 200},
        {"op": "rotate", "angle": 90, "expand": True},
        {"op": "grayscale"},
        {"op": "draw_box", "box": [0, 200, 40, 240], "color": "#ff0000", "fill": True},
    ]
    result = edited(clip, context, {"op": "trim", "end_s": 0.2}, *operations)
    assert (result.video.width, result.video.height) == (192, 256)
    pixels = made(context)[0][3]
    assert np.abs(pixels[220, 20].astype(int) - (0, 0, 255)).max() < 30
    turned_back = np.ascontiguousarray(np.rot90(pixels, -1)[::2, ::2][:, ::-1])
    assert number_of(turned_back) == 3
    assert np.ptp(turned_back[50, 40].astype(int)) < 8  # grey


def test_odd_results_grow_by_one(clip: Path, context: LocalContext) -> None:
    result = edited(
        clip,
        context,
        {"op": "trim", "end_s": 0.2},
        {"op": "resize", "width": 101, "height": 55, "keep_aspect": False},
    )
    assert (result.video.width, result.video.height) == (102, 56)


def test_rotation_metadata_is_applied_to_the_pixels(clip: Path, tmp_path: Path, context: LocalContext) -> None:
    path = turned(clip, tmp_path / "turned.mp4", 90)
    result = edited(path, context, {"op": "trim", "end_s": 0.4})
    assert (result.video.width, result.video.height) == (96, 128)
    assert number_of(np.ascontiguousarray(np.rot90(made(context)[0][9], -1))) == 9


def test_a_damaged_middle(tmp_path: Path, context: LocalContext) -> None:
    source, keys = numbered_clip(tmp_path / "long.mp4", 150), tmp_path / "keys.mp4"
    coding = ["-c:v", "libx264", "-g", "25", "-crf", "12"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(source), *coding, str(keys)], check=True)
    path = with_damage(keys, tmp_path / "damaged.mp4", 0.45, 0.5)
    result = edited(path, context)
    lost = sum(gap.to_index - gap.from_index + 1 for gap in result.gaps)
    assert 1 <= lost <= 60
    assert result.video.frames == 150 - lost
    assert result.video.duration_s == pytest.approx(6.0, abs=0.1)  # frames behind the gap keep their times


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ({"op": "trim", "start_s": 2.0}, "params.operations[1].start_s"),
        ({"op": "resize", "percent": 10_000}, "params.operations"),
        ({"op": "resize", "width": 20_000, "height": 8, "keep_aspect": False}, "params.operations"),
    ],
)
def test_operations_that_do_not_fit(clip: Path, context: LocalContext, operation: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        edited(clip, context, {"op": "grayscale"}, operation)
    assert caught.value.field is not None
    assert caught.value.field.startswith(field)


def test_bad_videos(tmp_path: Path, context: LocalContext) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    for path in (text, no_frames(tmp_path / "empty.mp4")):
        with pytest.raises(UnreadableInput):
            edited(path, context)


def test_cancel(clip: Path, tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=5)
    with pytest.raises(Cancelled):
        edited(clip, context)
    assert len(context.reported) == 5


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "crop", "box": [0, 0, 5, 5]},
        {"op": "unknown"},
        {"op": "trim", "start_s": 2, "end_s": 1},
        {"op": "fps", "fps": 0},
        {"op": "blur", "size": 4},
        {},
    ],
)
def test_wrong_parameters(operation: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EditVideoParams.model_validate({"operations": [operation]})


def test_parameters_survive_a_round_trip() -> None:
    given = {"operations": [{"op": "trim", "start_s": 1}, {"op": "fps", "fps": 5}, {"op": "rotate", "angle": 90}]}
    params = EditVideoParams.model_validate(given)
    assert EditVideoParams.model_validate(json.loads(params.model_dump_json())) == params
