"""What was seen in a video, counted, and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from saccade_models.media.look import FrameItems
from saccade_models.video_timeline import Timeline
from saccade_models.video_types import VideoGap

DAMAGED = "These frames are damaged and were left out."
TRUNCATED = "The file ends before these frames."
#: Gaps that are listed; a damaged video of hours may have a hundred thousand.
MOST_GAPS = 1000


@dataclass(slots=True)
class Tally:
    """Counts over frames; ``lost`` frames were to be looked at and could not be decoded.

    ``gaps`` are runs of missing frames: of all frames where an overlay was drawn, else of those to be looked at. The
    first ``MOST_GAPS`` are kept, others counted: ``gaps_left_out``, of which ``last_left_out`` is the last.
    """

    frames_seen: int = 0
    frames_with_items: int = 0
    items: int = 0
    most_at_once: int = 0
    lost: int = 0
    gaps: list[VideoGap] = field(default_factory=list[VideoGap])
    gaps_left_out: int = 0
    last_left_out: VideoGap | None = None

    def counted(self, frames: Iterable[FrameItems]) -> Iterator[FrameItems]:
        """``frames``, counted on their way."""
        for frame in frames:
            self.frames_seen += 1
            self.frames_with_items += bool(frame.items)
            self.items += len(frame.items)
            self.most_at_once = max(self.most_at_once, len(frame.items))
            yield frame

    def add(self, later: Tally, step: int) -> None:
        """Take in the counts of what follows; gaps that are ``step`` frames apart are one."""
        self.frames_seen += later.frames_seen
        self.frames_with_items += later.frames_with_items
        self.items += later.items
        self.most_at_once = max(self.most_at_once, later.most_at_once)
        self.lost += later.lost
        self.add_gaps(later.gaps, step)
        if later.gaps_left_out:  # its list was full, so ours is
            self.gaps_left_out += later.gaps_left_out
            self.last_left_out = later.last_left_out

    def add_gaps(self, later: Iterable[VideoGap], step: int) -> None:
        """Take in gaps that follow; those that are ``step`` frames apart are one."""
        for gap in later:
            last = self.last_left_out or (self.gaps[-1] if self.gaps else None)
            if last is not None and last.to_index + step == gap.from_index and last.message == gap.message:
                self._set_last(last.model_copy(update={"to_index": gap.to_index, "to_time_s": gap.to_time_s}))
            elif len(self.gaps) < MOST_GAPS:
                self.gaps.append(gap)
            else:
                self.gaps_left_out += 1
                self.last_left_out = gap

    def _set_last(self, gap: VideoGap) -> None:
        if self.last_left_out is None:
            self.gaps[-1] = gap
        else:
            self.last_left_out = gap

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        last = self.last_left_out.model_dump() if self.last_left_out else None
        return {**asdict(self), "gaps": [gap.model_dump() for gap in self.gaps], "last_left_out": last}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Tally:
        """What ``to_json`` gave."""
        last = value["last_left_out"]
        counts: dict[str, Any] = {
            **value,
            "gaps": [VideoGap.model_validate(gap) for gap in value["gaps"]],
            "last_left_out": VideoGap.model_validate(last) if last else None,
        }
        return cls(**counts)


def runs(indices: Iterable[int], step: int) -> list[range]:
    """Ascending ``indices`` as runs of those that are ``step`` apart."""
    found: list[range] = []
    for index in indices:
        if found and found[-1].stop == index:
            found[-1] = range(found[-1].start, index + step, step)
        else:
            found.append(range(index, index + step, step))
    return found


def gaps(timeline: Timeline, missing: Sequence[range], message: str) -> Iterator[VideoGap]:
    """Runs of missing frames as gaps."""
    return (
        VideoGap(
            from_index=run[0],
            to_index=run[-1],
            from_time_s=round(timeline.time_s(run[0]), 6),
            to_time_s=round(timeline.time_s(run[-1]), 6),
            message=message,
        )
        for run in missing
        if run
    )
