from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.extract_frames.contract import ExtractFramesParams, ExtractFramesResult
from saccade_kinds.extract_frames.runner import run
from saccade_models.images import Pixels
from saccade_models.video_testing import no_frames, number_of, numbered, numbered_clip, turned, with_damage
from saccade_models.video_write import VideoWriter


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "run")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """60 numbered frames at 25 a second."""
    return numbered_clip(tmp_path / "clip.mp4", 60)


def picture(context: LocalContext, name: str) -> Pixels:
    pixels = cv2.imread(str(context.artifacts / name))
    assert pixels is not None, name
    return np.asarray(pixels, dtype=np.uint8)


def checked(result: ExtractFramesResult, context: LocalContext) -> list[int]:
    """The indices, each found written into its own picture."""
    assert result.count == len(result.frames)
    assert all(number_of(picture(context, frame.name)) == frame.index for frame in result.frames)
    return [frame.index for frame in result.frames]


def test_every_fifth_frame_by_default(clip: Path, context: LocalContext) -> None:
    result = run(inputs_of(video=clip), ExtractFramesParams(), context)
    assert checked(result, context) == list(range(0, 60, 5))
    assert result.frames[1].model_dump() == {"index": 5, "time_s": 0.2, "name": "frames/frame_000005.jpg"}
    assert result.video.model_dump() == {
        "width": 128,
        "height": 96,
        "fps": 25.0,
        "frames": 60,
        "duration_s": 2.4,
        "codec": "h264",
    }
    assert (result.gaps, result.truncated) == ([], False)
    assert context.reported[-1] == (12, 12, "frames")
    assert context.models[0][0] == "ffmpeg"
    assert ExtractFramesResult.model_validate_json(result.model_dump_json()) == result
    sheet = picture(context, "contact-sheet.jpg")
    assert sheet.shape == (3 * 100 + 4, 4 * 132 + 4, 3)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"every_n": 20}, [0, 20, 40]),
        ({"every_n": 20, "start_s": 0.4}, [10, 30, 50]),
        ({"every_n": 20, "start_s": 0.4, "end_s": 1.2}, [10]),
        ({"every_n": 1, "start_s": 0.4, "end_s": 0.6}, [10, 11, 12, 13, 14]),
        ({"fps": 5}, list(range(0, 60, 5))),
        ({"fps": 2.5, "start_s": 0.8, "end_s": 2.0}, [20, 30, 40]),
        ({"fps": 100, "end_s": 0.2}, [0, 1, 2, 3, 4]),
        ({"times_s": [1.0, 0.0, 0.41, 2.39, 1.0]}, [0, 10, 25, 59]),
        ({"times_s": [0.0, 1.0], "start_s": 0.5}, [25]),
        ({"every_n": 1, "max_frames": 3}, [0, 1, 2]),
    ],
)
def test_ways_to_choose(clip: Path, context: LocalContext, params: dict[str, Any], expected: list[int]) -> None:
    result = run(inputs_of(video=clip), ExtractFramesParams.model_validate(params), context)
    assert checked(result, context) == expected
    assert result.truncated == ("max_frames" in params)


def test_key_frames(clip: Path, tmp_path: Path, context: LocalContext) -> None:
    path = tmp_path / "keys.mp4"
    coding = ["-c:v", "libx264", "-g", "20", "-sc_threshold", "0", "-crf", "12"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(clip), *coding, str(path)], check=True)
    result = run(inputs_of(video=path), ExtractFramesParams(keyframes=True), context)
    assert checked(result, context) == [0, 20, 40]


def test_scenes_begin_at_cuts(tmp_path: Path, context: LocalContext) -> None:
    """Three scenes of 1 s each: numbered pictures, the same turned blue, and inverted."""
    path = tmp_path / "scenes.mp4"
    with VideoWriter(path, width=128, height=96, fps=25) as writer:
        for index in range(75):
            pixels = numbered(index)
            if 25 <= index < 50:
                pixels[20:] = (220, 40, 40)
            elif index >= 50:
                pixels[20:] = 255 - pixels[20:]
            writer.write(pixels)
    result = run(inputs_of(video=path), ExtractFramesParams(scenes=True), context)
    assert checked(result, context) == [0, 25, 50]
    assert not result.truncated
    short = run(inputs_of(video=path), ExtractFramesParams(scenes=True, max_frames=2), context)
    assert [frame.index for frame in short.frames] == [0, 25]
    assert short.truncated


@pytest.mark.parametrize(("name", "magic"), [("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")])
def test_formats(clip: Path, context: LocalContext, name: str, magic: bytes) -> None:
    params = ExtractFramesParams.model_validate({"every_n": 30, "format": name, "max_side": 64})
    result = run(inputs_of(video=clip), params, context)
    suffix = "jpg" if name == "jpeg" else name
    assert [frame.name for frame in result.frames] == [f"frames/frame_0000{i}.{suffix}" for i in ("00", "30")]
    assert (context.artifacts / result.frames[0].name).read_bytes().startswith(magic)
    assert picture(context, result.frames[1].name).shape == (48, 64, 3)


def test_quality(clip: Path, tmp_path: Path) -> None:
    sizes: list[int] = []
    for quality in (20, 95):
        context = LocalContext(tmp_path / str(quality))
        run(inputs_of(video=clip), ExtractFramesParams(times_s=[1], quality=quality), context)
        sizes.append((context.artifacts / "frames/frame_000025.jpg").stat().st_size)
    assert sizes[0] * 1.5 < sizes[1]


def test_rotated_and_variable_rate(tmp_path: Path, context: LocalContext) -> None:
    times = [0.0, 0.04, 0.5, 0.9, 2.0]
    source = numbered_clip(tmp_path / "vfr.mp4", len(times), times_s=times)
    path = turned(source, tmp_path / "turned.mp4", 90)
    result = run(inputs_of(video=path), ExtractFramesParams(every_n=1), context)
    assert (result.video.width, result.video.height) == (96, 128)
    assert [frame.time_s for frame in result.frames] == pytest.approx(times, abs=1e-4)
    upright = np.ascontiguousarray(np.rot90(picture(context, result.frames[3].name), -1))
    assert number_of(upright) == 3


def test_a_damaged_middle_is_reported(tmp_path: Path, context: LocalContext) -> None:
    source, keys = numbered_clip(tmp_path / "long.mp4", 150), tmp_path / "keys.mp4"
    coding = ["-c:v", "libx264", "-g", "25", "-crf", "12"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", str(source), *coding, str(keys)], check=True)
    path = with_damage(keys, tmp_path / "damaged.mp4", 0.45, 0.5)
    result = run(inputs_of(video=path), ExtractFramesParams(every_n=5), context)
    assert result.video.frames == 150
    assert 20 <= result.count < 30
    missing = set(range(0, 150, 5)) - {frame.index for frame in result.frames}
    assert all(any(g.from_index <= i <= g.to_index for g in result.gaps) for i in missing)
    assert {0, 5, 10, 140, 145} <= {frame.index for frame in result.frames}


def test_cancel_ends_the_run(clip: Path, tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=4)
    with pytest.raises(Cancelled):
        run(inputs_of(video=clip), ExtractFramesParams(every_n=1), context)
    assert len(context.reported) == 4
    assert not (context.artifacts / "contact-sheet.jpg").exists()


def test_bad_videos(tmp_path: Path, context: LocalContext) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    for path in (text, no_frames(tmp_path / "empty.mp4")):
        with pytest.raises(UnreadableInput) as caught:
            run(inputs_of(video=path), ExtractFramesParams(), context)
        assert caught.value.field == "video"


@pytest.mark.parametrize(
    ("params", "field"), [({"start_s": 2.4}, "params.start_s"), ({"times_s": [0.1, 2.5]}, "params.times_s")]
)
def test_times_after_the_end(clip: Path, context: LocalContext, params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParams, match=r"2\.400 s") as caught:
        run(inputs_of(video=clip), ExtractFramesParams.model_validate(params), context)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "params",
    [
        {"every_n": 5, "fps": 2},
        {"keyframes": True, "scenes": True},
        {"times_s": [0], "every_n": 1},
        {"every_n": 0},
        {"fps": 0},
        {"times_s": []},
        {"times_s": [-1]},
        {"start_s": 2, "end_s": 1},
        {"format": "bmp"},
        {"quality": 101},
        {"every": 5},
        {"fps": float("nan")},
    ],
)
def test_wrong_parameters(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ExtractFramesParams.model_validate(params)


def test_parameters_survive_a_round_trip() -> None:
    for given in ({}, {"every_n": 3}, {"fps": 2.5}, {"times_s": [0, 1]}, {"keyframes": True}, {"scenes": True}):
        params = ExtractFramesParams.model_validate(given)
        assert ExtractFramesParams.model_validate(json.loads(params.model_dump_json())) == params
