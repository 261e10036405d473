"""What a kind tells of how it sees, and what it gets back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from saccade_core.kind import Context, InputFile
from saccade_models.draw import LabelColors
from saccade_models.images import Pixels
from saccade_models.media_types import MediaParams, VideoSummary
from saccade_models.video import VideoReader
from saccade_models.video_timeline import Timeline
from saccade_models.video_types import VideoFacts

#: One thing seen: JSON-ready; geometry in pixels of the upright source; keys are the kind's result fields.
Item: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrameItems:
    """What was seen in one frame of a video; a picture is frame 0 at 0 s."""

    index: int
    time_s: float
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind sees.

    ``items`` is the list's name in frames.jsonl (``faces``). ``see`` takes upright pictures, (H, W, 3) uint8 BGR
    which it must not change, whose sizes may differ, and gives each one's items; ``batch`` is how many of them at
    once are fastest. ``draw`` draws items in place on a contiguous BGR picture.

    ``relate`` sees the items of all frames of a video in order, once, before they are drawn, and gives as many
    frames back (tracking). ``annotate`` draws what there is besides on the frame of that index, below the items
    (zones, lines); with ``relate`` it is called after it has ended.

    ``amend`` is called for each frame of a video before it is joined to the others; it may change the items in place,
    and says whether they are drawn differently now: then the overlay is drawn anew. It does not go with ``relate``.
    """

    items: str
    see: Callable[[Sequence[Pixels]], list[list[Item]]]
    draw: Callable[[Pixels, Sequence[Item], LabelColors], None]
    batch: int = 1
    relate: Callable[[Iterable[FrameItems], VideoFacts], Iterable[FrameItems]] | None = None
    annotate: Callable[[Pixels, int], None] | None = None
    amend: Callable[[FrameItems], bool] | None = None

    def draw_all(self, pixels: Pixels, index: int, items: Sequence[Item], colors: LabelColors) -> None:
        """Everything of one frame, in place."""
        if self.annotate is not None:
            self.annotate(pixels, index)
        self.draw(pixels, items, colors)


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of a runner is about."""

    file: InputFile
    look: Look
    params: MediaParams
    context: Context

    @property
    def draws_segments(self) -> bool:
        """Whether segments are drawn as they are seen; what is to be related first is drawn at the end."""
        return self.params.overlay and self.look.relate is None

    @property
    def step(self) -> int:
        """Every how many frames are decoded when they are seen."""
        return 1 if self.draws_segments else self.params.every_n

    def reader(self, known: Timeline | None = None) -> VideoReader:
        """The video, opened."""
        return VideoReader(self.file.path, field=self.file.field, tick=self.context.check_cancelled, known=known)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a kind's result is made from. ``items`` are a picture's, and empty for a video."""

    media: Literal["image", "video"]
    width: int
    height: int
    video: VideoSummary | None
    items: list[Item]
    source: Path | None = None
    name: str = ""

    def frames(self) -> Iterator[FrameItems]:
        """A video's frames in order, read one by one from frames.jsonl; of a picture one frame."""
        if self.source is None:
            yield FrameItems(0, 0.0, self.items)
        else:
            yield from read_frames(self.source, self.name)


def frame_line(frame: FrameItems, name: str) -> str:
    """A line of frames.jsonl, its end included; raises ValueError for numbers that JSON does not know."""
    line = {"index": frame.index, "time_s": frame.time_s, name: frame.items}
    return json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def read_frames(path: Path, name: str) -> Iterator[FrameItems]:
    """The frames of a frames.jsonl that we wrote."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            frame: dict[str, Any] = json.loads(line)
            yield FrameItems(frame["index"], frame["time_s"], frame[name])
