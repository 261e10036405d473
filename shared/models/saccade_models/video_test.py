from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from saccade_core.errors import Cancelled, InputTooLarge, UnreadableInput
from saccade_models.video import VideoReader
from saccade_models.video_open import VideoLimits
from saccade_models.video_testing import (
    no_frames,
    number_of,
    numbered,
    numbered_clip,
    sound_only,
    turned,
    with_damage,
)


def ffmpeg(*arguments: str | int | Path) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return numbered_clip(tmp_path / "clip.mp4", 60)


@pytest.fixture
def many_keys(tmp_path: Path, clip: Path) -> Path:
    """200 frames with B-frames and a key frame every 25."""
    source, path = numbered_clip(tmp_path / "long.mp4", 200), tmp_path / "keys.mp4"
    ffmpeg("-i", source, "-c:v", "libx264", "-g", 25, "-bf", 3, "-crf", 12, path)
    return path


def test_facts_of_a_plain_clip(clip: Path) -> None:
    with VideoReader(clip) as video:
        assert video.facts.model_dump() == {
            "width": 128,
            "height": 96,
            "fps": 25.0,
            "frames": 60,
            "duration_s": 2.4,
            "codec": "h264",
        }
        frames = list(video.frames())
    assert [frame.index for frame in frames] == list(range(60))
    assert [number_of(frame.bgr()) for frame in frames] == list(range(60))
    assert frames[10].time_s == pytest.approx(0.4)
    assert video.gaps == []


def test_any_choice_of_frames_is_the_same_as_reading_all(many_keys: Path) -> None:
    with VideoReader(many_keys) as video:
        assert len(video.timeline.keys) >= 8
        whole = {frame.index: frame.bgr() for frame in video.frames()}
        for wanted in (range(0, 200, 5), [3, 77, 78, 199], [120], range(60, 140, 7), [199], [0]):
            got = {frame.index: frame.bgr() for frame in video.frames(wanted)}
            assert list(got) == list(wanted)
            assert all(np.array_equal(pixels, whole[index]) for index, pixels in got.items())
        assert video.gaps == []


def test_key_frames_alone(many_keys: Path) -> None:
    with VideoReader(many_keys) as video:
        keys = list(video.timeline.keys)
        frames = list(video.frames(keys, keyframes_only=True))
        assert [frame.index for frame in frames] == keys
        assert [number_of(frame.bgr()) for frame in frames] == keys
        assert len(list(video.frames())) == 200  # nothing of it sticks to the decoder


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("xvid.avi", ["-c:v", "mpeg4", "-bf", "2", "-q:v", "2"]),
        ("mjpeg.avi", ["-c:v", "mjpeg", "-q:v", "2"]),
        ("h264.mkv", ["-c:v", "libx264"]),
        ("h264.ts", ["-c:v", "libx264"]),
        ("hevc.mp4", ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]),
        ("vp8.webm", ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "1M"]),
        ("vp9.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"]),
    ],
)
def test_containers_and_codecs(clip: Path, tmp_path: Path, name: str, coding: list[str]) -> None:
    path = tmp_path / name
    ffmpeg("-i", clip, *coding, path)
    with VideoReader(path) as video:
        assert (video.facts.frames, video.facts.width, video.facts.height) == (60, 128, 96)
        assert video.facts.fps == pytest.approx(25, rel=0.02)
        assert [number_of(frame.bgr()) for frame in video.frames(range(0, 60, 7))] == list(range(0, 60, 7))
        assert [number_of(frame.bgr()) for frame in video.frames([41, 59])] == [41, 59]
        assert video.gaps == []


def test_odd_sizes_are_read(tmp_path: Path) -> None:
    source, path = numbered_clip(tmp_path / "even.mp4", 10), tmp_path / "odd.mkv"
    ffmpeg("-i", source, "-vf", "format=yuv444p,crop=127:95:0:0", "-c:v", "libx264", "-pix_fmt", "yuv444p", path)
    with VideoReader(path) as video:
        assert (video.facts.width, video.facts.height) == (127, 95)
        frame = next(video.frames())
        assert frame.bgr().shape == (95, 127, 3)
        assert np.abs(frame.bgr().astype(int) - numbered(0)[:95, :127]).mean() < 4


def test_variable_frame_rate_goes_by_timestamps(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.3, 2.0]
    with VideoReader(numbered_clip(tmp_path / "vfr.mp4", len(times), times_s=times)) as video:
        assert [frame.time_s for frame in video.frames()] == pytest.approx(times, abs=1e-4)
        line = video.timeline
        assert [line.index_at(t) for t in (0, 0.3, 0.5, 1.29, 1.3, 1.99, 5)] == [0, 2, 3, 4, 5, 5, 6]
        assert list(line.indices(0.5, 1.3)) == [3, 4]


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path: Path, degrees: int, hflip: bool) -> None:
    source = numbered_clip(tmp_path / "upright.mp4", 3)
    path = turned(source, tmp_path / "turned.mp4", degrees, hflip=hflip)
    reference = tmp_path / "reference.png"
    ffmpeg("-i", path, "-frames:v", "1", "-update", "1", reference)
    expected = cv2.imread(str(reference))
    with VideoReader(path) as video:
        pixels = next(video.frames()).bgr()
        assert pixels.shape[:2] == ((128, 96) if degrees % 180 else (96, 128))
        assert (video.facts.width, video.facts.height) == pixels.shape[1::-1]
    assert expected is not None
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 3


def test_a_damaged_middle_leaves_the_rest_and_is_reported(many_keys: Path, tmp_path: Path) -> None:
    path = with_damage(many_keys, tmp_path / "damaged.mp4", 0.45, 0.50)
    with VideoReader(path) as video:
        assert video.facts.frames == 200
        delivered = {frame.index: number_of(frame.bgr()) for frame in video.frames()}
        lost = {i for gap in video.gaps for i in range(gap.from_index, gap.to_index + 1)}
        assert 1 <= len(lost) <= 60
        assert lost.isdisjoint(delivered)
        assert lost | set(delivered) == set(range(200))
        assert all(number == index for index, number in delivered.items() if index < min(lost) or index > 150)
        gap = video.gaps[0]
        assert gap.from_time_s == pytest.approx(gap.from_index / 25)
        assert "damaged" in gap.message


def test_a_damaged_middle_is_reported_when_frames_are_skipped(many_keys: Path, tmp_path: Path) -> None:
    path = with_damage(many_keys, tmp_path / "damaged.mp4", 0.45, 0.50)
    with VideoReader(path) as video:
        delivered = [frame.index for frame in video.frames(range(0, 200, 5))]
        assert 28 <= len(delivered) < 40
        assert video.gaps
        missing = set(range(0, 200, 5)) - set(delivered)
        assert all(any(g.from_index <= i <= g.to_index for g in video.gaps) for i in missing)


def test_a_damaged_matroska_file_keeps_its_numbers(many_keys: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    ffmpeg("-i", many_keys, "-c", "copy", whole)
    with VideoReader(with_damage(whole, tmp_path / "damaged.mkv", 0.45, 0.50)) as video:
        delivered = {frame.index: number_of(frame.bgr()) for frame in video.frames()}
        lost = {i for gap in video.gaps for i in range(gap.from_index, gap.to_index + 1)}
    assert len(delivered) >= 140
    assert lost
    assert lost | set(delivered) == set(range(200))
    assert all(number == index for index, number in delivered.items() if index < min(lost) or index > 160)


def test_a_file_cut_short_reports_its_end(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * 0.7)])
    with VideoReader(path) as video:
        indices = [frame.index for frame in video.frames()]
        assert indices == list(range(len(indices)))
        assert 5 < len(indices) < 60
        assert video.gaps[-1].to_index == 59
        assert {i for g in video.gaps for i in range(g.from_index, g.to_index + 1)} == set(range(len(indices), 60))


def test_files_that_are_no_video_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is not a video.\n" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    picture = tmp_path / "picture.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", "-f", "image2", "-c:v", "png", picture)
    no_index = tmp_path / "no-index.mp4"
    no_index.write_bytes(numbered_clip(tmp_path / "whole.mp4", 10).read_bytes()[:300])
    for path in (text, empty, picture, no_index):
        with pytest.raises(UnreadableInput) as caught:
            VideoReader(path, field="video")
        assert caught.value.field == "video"
        assert str(tmp_path) not in caught.value.message


def test_sound_alone_and_no_frames_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no video stream"):
        VideoReader(sound_only(tmp_path / "sound.mp4"))
    with pytest.raises(UnreadableInput, match="no frames"):
        VideoReader(no_frames(tmp_path / "empty.mp4"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("list.txt", "ffconcat version 1.0\nfile '{clip}'\n"),
        ("list.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>'),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_playlists_are_refused(clip: Path, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text.format(clip=clip) if "{clip}" in text else text)
    with pytest.raises(UnreadableInput):
        VideoReader(path)


@pytest.mark.parametrize(
    "limits",
    [VideoLimits(max_pixels=128 * 96 - 1), VideoLimits(max_duration_s=2.3), VideoLimits(max_frames=59)],
)
def test_caps(clip: Path, limits: VideoLimits) -> None:
    with pytest.raises(InputTooLarge, match="at most"):
        VideoReader(clip, limits=limits)


def test_a_stream_that_grows_beyond_the_cap_is_caught_while_decoding(tmp_path: Path) -> None:
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    for path, size in ((small, "64x48"), (large, "640x480")):
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:duration=1", "-c:v", "mpeg2video", path)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with VideoReader(both, limits=VideoLimits(max_pixels=64 * 48)) as video:
        sizes: set[tuple[int, ...]] = set()
        try:
            sizes.update(frame.bgr().shape for frame in video.frames())
        except InputTooLarge:
            assert sizes <= {(48, 64, 3)}
        else:
            # The decoder itself refuses the larger pictures: they are a gap.
            assert sizes == {(48, 64, 3)}
            assert video.gaps


def test_a_tick_may_cancel_between_frames(clip: Path) -> None:
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        VideoReader(clip, tick=tick)
    assert calls == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_hangs_or_leaks_an_odd_error(clip: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(clip.read_bytes())
    for position in rng.integers(0, len(data), 40):
        data[position] = int(rng.integers(0, 256))
    path = tmp_path / "noise.mp4"
    path.write_bytes(data)
    indices: list[int] = []
    with suppress(UnreadableInput, InputTooLarge), VideoReader(path) as video:
        indices = [frame.index for frame in video.frames()]
    assert indices == sorted(set(indices))
    assert len(indices) <= 60
