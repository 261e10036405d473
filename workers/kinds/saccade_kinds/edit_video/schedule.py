"""Which frame of the source is shown when, after trims and changes of rate."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby

from saccade_core.errors import InvalidParams
from saccade_kinds.edit_video.contract import EditVideoFps, EditVideoOperation, EditVideoTrim
from saccade_models.video_timeline import Timeline


@dataclass(frozen=True, slots=True)
class Schedule:
    """Frame ``indices[i]`` of the source is shown from ``times_s[i]``; the last one until ``duration_s``."""

    indices: list[int]
    times_s: list[float]
    duration_s: float

    @property
    def fps(self) -> float:
        """Mean frames per second."""
        return len(self.indices) / self.duration_s

    def shown(self) -> list[tuple[int, list[float]]]:
        """Each source frame used, with all the times it is shown from (a raised rate repeats frames)."""
        pairs = zip(self.indices, self.times_s, strict=True)
        return [(index, [time for _, time in group]) for index, group in groupby(pairs, key=lambda pair: pair[0])]


def schedule(line: Timeline, operations: list[EditVideoOperation], max_frames: int) -> Schedule:
    """The source's own times put through the operations on time; raises InvalidParams, naming the operation."""
    count = len(line.pts)
    plan = Schedule(list(range(count)), [line.time_s(i) for i in range(count)], line.duration_s)
    for number, operation in enumerate(operations):
        field = f"params.operations[{number}]"
        if isinstance(operation, EditVideoTrim):
            plan = _trimmed(plan, operation, field)
        elif isinstance(operation, EditVideoFps):
            plan = _resampled(plan, operation.fps, max_frames, field)
    return plan


def _trimmed(plan: Schedule, trim: EditVideoTrim, field: str) -> Schedule:
    if trim.start_s >= plan.duration_s:
        text = f"start_s must lie before the video's end, which is at {plan.duration_s:.3f} s at this step."
        raise InvalidParams(text, field=f"{field}.start_s", received=trim.start_s)
    end = plan.duration_s if trim.end_s is None else min(trim.end_s, plan.duration_s)
    first = max(0, bisect_right(plan.times_s, trim.start_s + 1e-6) - 1)
    kept = [i for i in range(first, len(plan.indices)) if plan.times_s[i] < end - 1e-6]
    times = [max(0.0, plan.times_s[i] - trim.start_s) for i in kept]
    return Schedule([plan.indices[i] for i in kept], times, end - trim.start_s)


def _resampled(plan: Schedule, fps: float, max_frames: int, field: str) -> Schedule:
    count = max(1, round(plan.duration_s * fps))
    if count > max_frames:
        text = f"The video would have {count:,} frames; at most {max_frames:,} are made."
        raise InvalidParams(text, field=f"{field}.fps", received=fps)
    times = [i / fps for i in range(count)]
    shown = [max(0, bisect_right(plan.times_s, t + 1e-6) - 1) for t in times]
    return Schedule([plan.indices[i] for i in shown], times, count / fps)
