from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from saccade_core.errors import Cancelled, UnreadableInput
from saccade_core.kind import Context, InputFile, Inputs
from saccade_core.parts import DonePart, Part
from saccade_core.testing import LocalContext, inputs_of
from saccade_models.draw import LabelColors, Mark, draw_marks
from saccade_models.images import Pixels
from saccade_models.media import FrameItems, Item, Look, MediaRunner, Seen, segments
from saccade_models.media_types import MediaParams, MediaResult
from saccade_models.video_testing import number_of, numbered, numbered_clip, turned, with_damage
from saccade_models.video_timeline import Timeline
from saccade_models.video_types import VideoFacts


class FakeResult(MediaResult):
    numbers: list[int]


class Fake:
    """Sees the number of a numbered picture (none in every 7th), and counts how it is called."""

    def __init__(self, batch: int = 1, *, relates: bool = False) -> None:
        self.batch, self.relates = batch, relates
        self.calls: list[int] = []
        self.annotated: list[int] = []
        self.runner = MediaRunner[MediaParams, FakeResult](self.look, self.result)

    @contextmanager
    def look(self, _params: MediaParams, _context: Context) -> Generator[Look]:
        relate = self.relate if self.relates else None
        yield Look("numbers", self.see, self.draw, self.batch, relate, self.annotate)

    def see(self, pictures: Sequence[Pixels]) -> list[list[Item]]:
        self.calls.append(len(pictures))
        numbers = [number_of(picture) for picture in pictures]
        return [[{"number": n, "box": [20.0, 50.0, 60.0, 80.0]}] * (n % 7) for n in numbers]

    def draw(self, pixels: Pixels, items: Sequence[Item], colors: LabelColors) -> None:
        assert pixels.flags.c_contiguous
        draw_marks(pixels, [Mark(item["box"], "n") for item in items], colors)

    def annotate(self, _pixels: Pixels, index: int) -> None:
        self.annotated.append(index)

    def relate(self, frames: Iterable[FrameItems], facts: VideoFacts) -> Iterator[FrameItems]:
        for order, frame in enumerate(frames):
            items = [{**item, "order": order, "of": facts.frames} for item in frame.items]
            yield FrameItems(frame.index, frame.time_s, items)

    def result(self, _params: MediaParams, seen: Seen, _context: Context) -> FakeResult:
        numbers = [item["number"] for frame in seen.frames() for item in frame.items]
        return FakeResult(media=seen.media, width=seen.width, height=seen.height, video=seen.video, numbers=numbers)


def ffmpeg(*arguments: str | int | Path) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of about 30 frames."""
    monkeypatch.setattr(segments, "USUAL", 30)
    monkeypatch.setattr(segments, "MOST_FRAMES", 30)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return numbered_clip(tmp_path / "clip.mp4", 40)


def pixels_of(video: Path) -> list[NDArray[np.int16]]:
    with av.open(str(video)) as opened:
        return [frame.to_ndarray(format="bgr24").astype(np.int16) for frame in opened.decode(video=0)]


class Amending(Fake):
    """Amends the frames of these indices, and says that they are to be drawn anew."""

    def __init__(self, indices: set[int]) -> None:
        super().__init__()
        self.indices = indices

    @contextmanager
    def look(self, _params: MediaParams, _context: Context) -> Generator[Look]:
        with super().look(_params, _context) as look:
            yield replace(look, amend=self.amend)

    def amend(self, frame: FrameItems) -> bool:
        if frame.index in self.indices:
            frame.items.clear()
        return frame.index in self.indices


def whole(file: Path, params: MediaParams, root: Path, fake: Fake | None = None) -> tuple[FakeResult, LocalContext]:
    context = LocalContext(root)
    return (fake or Fake()).runner.run(inputs_of(media=file), params, context), context


def in_parts(file: Path, params: MediaParams, root: Path, fake: Fake | None = None) -> tuple[FakeResult, LocalContext]:
    """As workers do it: each part with a context of its own and a spec that went through JSON; the last one first."""
    fake, inputs = fake or Fake(), inputs_of(media=file)
    parts = fake.runner.plan(inputs, params, LocalContext(root / "plan"))
    done: list[DonePart] = []
    for part in reversed(parts):
        sent = Part(part.index, json.loads(json.dumps(part.spec)), part.weight)
        context = LocalContext(root / f"part-{part.index}")
        result = fake.runner.run_part(inputs, params, context, sent)
        done.insert(0, DonePart(sent, json.loads(json.dumps(result)), context.artifacts))
    assert len(done) > 1
    context = LocalContext(root / "join")
    return fake.runner.join(inputs, params, context, done), context


def lines(context: LocalContext) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (context.artifacts / "frames.jsonl").read_text("utf-8").splitlines()]


def shown(path: Path) -> list[tuple[float, int]]:
    """Time and number of each frame of an overlay."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return [
            (float(f.pts * stream.time_base), number_of(np.asarray(f.to_ndarray(format="bgr24"), dtype=np.uint8)))
            for f in container.decode(stream)
            if f.pts is not None
        ]


# Pictures ------------------------------------------------------------------------------------------------


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), numbered(3))
    fake = Fake()
    result, context = whole(path, MediaParams(), tmp_path / "run", fake)
    assert (result.media, result.width, result.height, result.video) == ("image", 128, 96, None)
    assert result.numbers == [3, 3, 3]
    assert [p.name for p in context.artifacts.iterdir()] == ["overlay.png"]
    overlay = cv2.imread(str(context.artifacts / "overlay.png"))
    assert overlay is not None
    assert overlay.shape == (96, 128, 3)
    assert not np.array_equal(overlay, numbered(3))
    assert np.array_equal(overlay[:12], numbered(3)[:12])
    assert fake.annotated == [0]
    assert context.reported[-1] == (2, 2, "done")


def test_a_picture_without_an_overlay(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), numbered(3))
    fake = Fake()
    _, context = whole(path, MediaParams(overlay=False), tmp_path / "run", fake)
    assert list(context.artifacts.iterdir()) == []
    assert fake.annotated == []


def test_a_picture_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise sets it right
    Image.fromarray(np.rot90(numbered(5), 1)[:, :, ::-1].copy()).save(path, quality=95, exif=exif)
    result, context = whole(path, MediaParams(), tmp_path / "run")
    assert (result.width, result.height, result.numbers) == (128, 96, [5] * 5)
    overlay = cv2.imread(str(context.artifacts / "overlay.png"))
    assert overlay is not None
    assert (overlay.shape, number_of(np.asarray(overlay, dtype=np.uint8))) == ((96, 128, 3), 5)


def test_a_large_overlay_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.full((2400, 2400, 3), 90, np.uint8))
    _, context = whole(path, MediaParams(), tmp_path / "run")
    assert (context.artifacts / "overlay.png").stat().st_size < 1_000_000


def test_what_is_neither(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(UnreadableInput, match="neither a picture nor a video") as caught:
        whole(tmp_path / "x.bin", MediaParams(), tmp_path / "run")
    assert caught.value.field == "media"
    assert not Fake().runner.plan(inputs_of(media=tmp_path / "x.bin"), MediaParams(), LocalContext(tmp_path / "plan"))


def test_an_animation_is_refused_as_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(numbered(i)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableInput, match="animation of 3 frames"):
        whole(path, MediaParams(), tmp_path / "run")


def test_bytes_of_no_known_type_may_be_a_video(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "clip.mxf"
    ffmpeg("-i", clip, "-c:v", "mpeg2video", "-q:v", 2, path)
    result, _ = whole(path, MediaParams(overlay=False), tmp_path / "run")
    assert (result.media, len(result.numbers)) == ("video", sum(n % 7 for n in range(40)))


def test_the_stated_type_counts(tmp_path: Path, clip: Path) -> None:
    inputs = Inputs({"media": [InputFile(clip, "clip.mp4", "image/png", "media")]})
    with pytest.raises(UnreadableInput, match="not a picture"):
        Fake().runner.run(inputs, MediaParams(), LocalContext(tmp_path / "run"))


# Videos in one go ----------------------------------------------------------------------------------------


def test_a_video(tmp_path: Path, clip: Path) -> None:
    result, context = whole(clip, MediaParams(), tmp_path / "run")
    assert result.media == "video"
    assert result.video is not None
    assert result.video.facts.frames == 40
    assert (result.video.frames_seen, result.video.most_at_once, result.video.gaps) == (40, 6, [])
    assert result.video.frames_with_items == sum(n % 7 > 0 for n in range(40))
    assert result.video.items == len(result.numbers) == sum(n % 7 for n in range(40))
    written = lines(context)
    assert [set(line) for line in written] == [{"index", "time_s", "numbers"}] * 40
    assert [line["index"] for line in written] == list(range(40))
    assert [line["time_s"] for line in written] == pytest.approx([n / 25 for n in range(40)])
    assert {p.name for p in context.artifacts.iterdir()} == {"frames.jsonl", "overlay.mp4"}
    assert shown(context.artifacts / "overlay.mp4") == [(pytest.approx(n / 25), n) for n in range(40)]
    assert context.reported[-1] == (40, 40, "done")


@pytest.mark.parametrize("overlay", [True, False])
def test_frames_come_in_batches(tmp_path: Path, clip: Path, overlay: bool) -> None:
    fake = Fake(batch=16)
    result, _ = whole(clip, MediaParams(overlay=overlay), tmp_path / "run", fake)
    assert fake.calls == [16, 16, 8]
    assert result.numbers == [n for n in range(40) for _ in range(n % 7)]


@pytest.mark.parametrize("batch", [1, 4])
def test_every_nth_frame_is_seen_and_all_are_drawn(tmp_path: Path, clip: Path, batch: int) -> None:
    fake = Fake(batch)
    result, context = whole(clip, MediaParams(every_n=6), tmp_path / "run", fake)
    assert result.video is not None
    assert (result.video.frames_seen, sum(fake.calls)) == (7, 7)
    assert [line["index"] for line in lines(context)] == [0, 6, 12, 18, 24, 30, 36]
    assert len(shown(context.artifacts / "overlay.mp4")) == 40
    assert fake.annotated == [n - n % 6 for n in range(40)]


def test_related_frames_are_drawn_afterwards(tmp_path: Path, clip: Path) -> None:
    result, context = whole(clip, MediaParams(every_n=2), tmp_path / "run", Fake(relates=True))
    assert result.video is not None
    assert result.video.frames_seen == 20
    written = lines(context)
    assert [line["numbers"][0]["order"] for line in written if line["numbers"]] == [
        order for order in range(20) if 2 * order % 7
    ]
    assert len(shown(context.artifacts / "overlay.mp4")) == 40


def test_a_video_stands_upright(tmp_path: Path, clip: Path) -> None:
    ffmpeg("-i", clip, "-vf", "transpose=1", "-crf", 12, tmp_path / "side.mp4")
    result, context = whole(turned(tmp_path / "side.mp4", tmp_path / "turned.mp4", 90), MediaParams(), tmp_path / "run")
    assert (result.width, result.height) == (128, 96)
    assert result.numbers == [n for n in range(40) for _ in range(n % 7)]
    assert [n for _, n in shown(context.artifacts / "overlay.mp4")] == list(range(40))


def test_cancelling_ends_it(tmp_path: Path, clip: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=5)
    with pytest.raises(Cancelled):
        Fake().runner.run(inputs_of(media=clip), MediaParams(), context)
    assert len(context.reported) == 5


# Videos in segments --------------------------------------------------------------------------------------


def _keys(clip: Callable[[int], Path], folder: Path) -> Path:
    ffmpeg("-i", clip(120), "-c:v", "libx264", "-g", 25, "-bf", 3, "-crf", 12, folder / "keys.mp4")
    return folder / "keys.mp4"


def _one_key(clip: Callable[[int], Path], folder: Path) -> Path:
    ffmpeg("-i", clip(120), "-c:v", "libx264", "-g", 999, "-sc_threshold", 0, "-crf", 12, folder / "one.mp4")
    return folder / "one.mp4"


def _open_gop(clip: Callable[[int], Path], folder: Path) -> Path:
    coding = "open-gop=1:keyint=24:bframes=3:b-adapt=0:scenecut=0"
    ffmpeg("-i", clip(120), "-c:v", "libx264", "-x264-params", coding, "-crf", 12, folder / "open.mkv")
    return folder / "open.mkv"


def _stream(clip: Callable[[int], Path], folder: Path) -> Path:
    ffmpeg("-i", clip(120), "-c:v", "libx264", "-g", 40, "-crf", 12, folder / "stream.ts")
    return folder / "stream.ts"


def _hevc(clip: Callable[[int], Path], folder: Path) -> Path:
    coding = "log-level=none:keyint=30:crf=12"
    ffmpeg("-i", clip(100), "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", coding, folder / "hevc.mp4")
    return folder / "hevc.mp4"


def _varying(_: Callable[[int], Path], folder: Path) -> Path:
    steps = np.random.default_rng(3).choice([0.02, 0.04, 0.5, 1.3], 120, p=[0.4, 0.4, 0.15, 0.05])
    return numbered_clip(folder / "vfr.mp4", 120, times_s=np.cumsum(steps).round(3).tolist())


def _damaged(clip: Callable[[int], Path], folder: Path) -> Path:
    return with_damage(_keys(clip, folder), folder / "damaged.mp4", 0.45, 0.50)


def _damaged_at_a_border(clip: Callable[[int], Path], folder: Path) -> Path:
    return with_damage(_one_key(clip, folder), folder / "damaged.mp4", 0.55, 0.60)


def _truncated(clip: Callable[[int], Path], folder: Path) -> Path:
    source = _keys(clip, folder)
    ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", folder / "faststart.mp4")
    data = (folder / "faststart.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(data[: int(len(data) * 0.97)])
    return folder / "truncated.mp4"


def _pictures_only(clip: Callable[[int], Path], folder: Path) -> Path:
    ffmpeg("-i", clip(100), "-c:v", "mjpeg", "-q:v", 2, folder / "mjpeg.avi")
    return folder / "mjpeg.avi"


VIDEOS = [
    _keys,
    _one_key,
    _open_gop,
    _stream,
    _hevc,
    _varying,
    _damaged,
    _damaged_at_a_border,
    _truncated,
    _pictures_only,
]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("make", VIDEOS)
def test_segments_give_what_one_go_gives(tmp_path: Path, make: Callable[[Callable[[int], Path], Path], Path]) -> None:
    video = make(lambda frames: numbered_clip(tmp_path / "source.mp4", frames), tmp_path)
    for number, (every_n, overlay) in enumerate([(1, True), (4, True), (4, False)]):
        params = MediaParams(every_n=every_n, overlay=overlay, max_failure_rate=0.6)
        one, a = whole(video, params, tmp_path / f"whole-{number}", Fake(batch=3))
        many, b = in_parts(video, params, tmp_path / f"parts-{number}", Fake(batch=4))
        assert many == one
        assert one.video is not None and one.video.frames_seen > 10
        assert (b.artifacts / "frames.jsonl").read_bytes() == (a.artifacts / "frames.jsonl").read_bytes()
        if overlay:
            first, second = shown(a.artifacts / "overlay.mp4"), shown(b.artifacts / "overlay.mp4")
            assert second == first
            assert len(first) >= one.video.frames_seen


@pytest.mark.usefixtures("short_segments")
def test_related_segments_give_what_one_go_gives(tmp_path: Path) -> None:
    video = _damaged(lambda frames: numbered_clip(tmp_path / "source.mp4", frames), tmp_path)
    params = MediaParams(every_n=2, max_failure_rate=0.6)
    one, a = whole(video, params, tmp_path / "whole", Fake(relates=True))
    many, b = in_parts(video, params, tmp_path / "parts", Fake(relates=True))
    assert many == one
    assert one.video is not None and one.video.gaps
    assert (b.artifacts / "frames.jsonl").read_bytes() == (a.artifacts / "frames.jsonl").read_bytes()
    assert shown(b.artifacts / "overlay.mp4") == shown(a.artifacts / "overlay.mp4")


@pytest.mark.usefixtures("short_segments")
def test_amended_frames_are_drawn_anew(tmp_path: Path) -> None:
    video, params = numbered_clip(tmp_path / "source.mp4", 60), MediaParams(every_n=2)
    plain, a = in_parts(video, params, tmp_path / "plain")
    same, b = in_parts(video, params, tmp_path / "same", Amending(set()))
    overlay = a.artifacts / "overlay.mp4"
    assert same == plain and (b.artifacts / "overlay.mp4").read_bytes() == overlay.read_bytes()
    assert (b.artifacts / "frames.jsonl").read_bytes() == (a.artifacts / "frames.jsonl").read_bytes()
    _, c = in_parts(video, params, tmp_path / "amended", Amending({20, 41}))
    lines = [json.loads(line) for line in (c.artifacts / "frames.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(0, 60, 2))
    assert {line["index"] for line in lines if not line["numbers"]} == {0, 14, 20, 28, 42, 56}
    drawn, before = pixels_of(c.artifacts / "overlay.mp4"), pixels_of(overlay)
    differ = [float(np.abs(x - y).max()) > 80 for x, y in zip(drawn, before, strict=True)]
    assert [index for index, differs in enumerate(differ) if differs] == [20, 21]


@pytest.mark.usefixtures("short_segments")
def test_a_segment_of_which_nothing_can_be_decoded(tmp_path: Path) -> None:
    source = _pictures_only(lambda frames: numbered_clip(tmp_path / "source.mp4", frames), tmp_path)
    ffmpeg("-i", source, "-c", "copy", tmp_path / "mjpeg.mp4")
    video = with_damage(tmp_path / "mjpeg.mp4", tmp_path / "damaged.mp4", 0.2, 0.8)
    params = MediaParams(max_failure_rate=0.9)
    one, a = whole(video, params, tmp_path / "whole")
    many, b = in_parts(video, params, tmp_path / "parts")
    assert many == one
    assert one.video is not None
    assert sum(gap.to_index - gap.from_index + 1 for gap in one.video.gaps) > 45
    assert shown(b.artifacts / "overlay.mp4") == shown(a.artifacts / "overlay.mp4")


def test_too_many_lost_frames_fail_the_job(tmp_path: Path) -> None:
    video = _damaged(lambda frames: numbered_clip(tmp_path / "source.mp4", frames), tmp_path)
    with pytest.raises(UnreadableInput, match=r"of 120 frames cannot be read; 'max_failure_rate' allows .* 0\.01"):
        whole(video, MediaParams(max_failure_rate=0.01), tmp_path / "run")


def test_what_is_missing_at_the_end_counts_as_lost(tmp_path: Path) -> None:
    video = _truncated(lambda frames: numbered_clip(tmp_path / "source.mp4", frames), tmp_path)
    result, _ = whole(video, MediaParams(overlay=False, every_n=5, max_failure_rate=0.5), tmp_path / "run")
    assert result.video is not None
    gap = result.video.gaps[-1]
    assert (gap.to_index, gap.message) == (115, "The file ends before these frames.")
    assert gap.from_index // 5 - 1 <= result.video.frames_seen <= gap.from_index // 5  # the last one may be cut off


# How a video is cut --------------------------------------------------------------------------------------


def line(count: int, keys: Sequence[int], *, timed: bool = True) -> Timeline:
    return Timeline(range(0, count * 40, 40), Fraction(1, 1000), count * 40, keys, [40 * k for k in keys], timed=timed)


@pytest.mark.parametrize(
    ("count", "keys", "every_n", "starts"),
    [
        (499, range(0, 499, 50), 1, [0]),
        (500, range(0, 500, 50), 1, [0, 250]),
        (1000, [0, 240, 262, 440, 790], 1, [0, 240, 500, 790]),
        (1000, [0], 1, [0, 250, 500, 750]),  # no key frame in reach
        (1000, [0, 459, 512], 2, [0, 512]),
        (1000, [0, 459, 511], 2, [0, 512]),
        (6100, range(0, 6100, 250), 5, [0, 1250, 2500, 3750, 5000]),
        (20_000, range(0, 20_000, 250), 700, [0, 2800, 4900, 7000, 10500, 12600, 15400, 17500]),
    ],
)
def test_where_segments_start(count: int, keys: Sequence[int], every_n: int, starts: list[int]) -> None:
    found = segments.segments(line(count, keys), every_n)
    assert [segment.start for segment in found] == starts
    assert [segment.stop for segment in found] == [*starts[1:], count]
    assert all(start % every_n == 0 for start in starts)


def test_what_cannot_be_entered_is_not_cut() -> None:
    assert len(segments.segments(line(5000, [0], timed=False), 1)) == 1


def test_the_longest_video_has_few_enough_segments() -> None:
    for keys in (range(0, 500_000, 250), range(0, 500_000, 17), [0]):
        assert len(segments.segments(line(500_000, keys), 1)) <= 2000
    assert len(segments.segments(line(500_000, [0]), 1000)) <= 2000


@pytest.mark.parametrize("keys", [[0], [0, 3, 40_000], range(0, 100_000, 600), range(0, 100_000, 2400)])
def test_few_key_frames_do_not_let_all_be_decoded_for_each_segment(keys: Sequence[int]) -> None:
    found = segments.segments(line(100_000, keys), 1)
    assert sum(segment.stop - segment.key() for segment in found) <= (1 + segments.MOST_LEAD) * 100_000
    assert len(found) >= len(keys)  # all the same there are pieces where they can be had


def test_a_spec_is_small_and_keeps_what_decoding_takes() -> None:
    whole_line = line(500_000, range(0, 500_000, 250))
    segment = segments.segments(whole_line, 1)[700]
    spec = json.dumps(segment.spec())
    assert len(spec) < 1000
    part = segments.Segment.of(json.loads(spec)).timeline
    for index in (segment.start, segment.stop - 1):
        assert part.pts_of(index) == whole_line.pts_of(index)
        assert part.time_s(index) == whole_line.time_s(index)
        assert part.key_before(index) == whole_line.key_before(index)
        assert part.locate(whole_line.pts_of(index), 0) == index
    assert (part.count, part.fps, part.duration_s) == (500_000, whole_line.fps, whole_line.duration_s)
    assert part.locate(0, segment.start) == part.first - 1
    assert part.locate(whole_line.pts[-1], segment.start) == segment.stop
