from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from saccade_models.video import VideoReader
from saccade_models.video_testing import number_of, numbered, numbered_clip
from saccade_models.video_write import VideoCodec, VideoWriter


def test_h264_is_what_browsers_play(tmp_path: Path) -> None:
    path = numbered_clip(tmp_path / "video.mp4", 30, fps=30_000 / 1001)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.colorspace, stream.color_range) == (1, 1)  # BT.709, limited range
        frames = list(container.decode(stream))
    assert len(frames) == 30
    assert float(frames[15].time) == pytest.approx(15 * 1001 / 30_000, abs=1e-4)
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


@pytest.mark.parametrize(
    ("codec", "name", "tag"), [("h264", "h264", "avc1"), ("mjpeg", "mjpeg", "MJPG"), ("xvid", "mpeg4", "XVID")]
)
def test_codecs_keep_frames_and_colours(tmp_path: Path, codec: VideoCodec, name: str, tag: str) -> None:
    path = numbered_clip(tmp_path / ("v.mp4" if codec == "h264" else "v.avi"), 30, codec=codec)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag
    with VideoReader(path) as video:
        assert (video.facts.codec, video.facts.frames, video.facts.fps) == (name, 30, 25.0)
        for frame in video.frames():
            assert number_of(frame.bgr()) == frame.index
            assert np.abs(frame.bgr().astype(int) - numbered(frame.index)).mean() < 4


@pytest.mark.parametrize("codec", ["h264", "mjpeg", "xvid"])
@pytest.mark.parametrize(("width", "height"), [(127, 95), (1, 1), (128, 95)])
def test_odd_sides_grow_by_one(tmp_path: Path, codec: VideoCodec, width: int, height: int) -> None:
    path = tmp_path / ("v.mp4" if codec == "h264" else "v.avi")
    pixels = np.full((height, width, 3), (30, 90, 200), dtype=np.uint8)
    with VideoWriter(path, width=width, height=height, fps=25, codec=codec) as writer:
        for _ in range(5):
            writer.write(pixels)
    with VideoReader(path) as video:
        assert (video.facts.width, video.facts.height) == (width + width % 2, height + height % 2)
        last = next(video.frames()).bgr()[-1, -1].astype(int)
        assert np.abs(last - (30, 90, 200)).max() < 12  # a copy of the border, not black


def test_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 1.0, 1.0, 2.5]
    with VideoReader(numbered_clip(tmp_path / "v.mp4", 6, times_s=times)) as video:
        assert [frame.time_s for frame in video.frames()] == pytest.approx(times, abs=1e-4)


@pytest.mark.parametrize("fps", [0.1, 23.976, 59.94, 240])
@pytest.mark.parametrize("codec", ["h264", "mjpeg", "xvid"])
def test_rates(tmp_path: Path, codec: VideoCodec, fps: float) -> None:
    path = numbered_clip(tmp_path / ("v.mp4" if codec == "h264" else "v.avi"), 12, fps=fps, codec=codec)
    with VideoReader(path) as video:
        assert video.facts.frames == 12
        assert video.facts.fps == pytest.approx(fps, rel=0.005)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="64 x 48"),
        VideoWriter(tmp_path / "v.mp4", width=128, height=96, fps=25) as writer,
    ):
        writer.write(np.zeros((48, 64, 3), dtype=np.uint8))
