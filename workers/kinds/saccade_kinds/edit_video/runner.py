"""Decodes, edits and encodes frame by frame; memory does not grow with the video's length."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import av

from saccade_core.errors import InvalidParams
from saccade_core.kind import Context, Inputs
from saccade_kinds.edit_video.contract import EditVideoFps, EditVideoParams, EditVideoResult, EditVideoTrim
from saccade_kinds.edit_video.schedule import Schedule, schedule
from saccade_models.image_ops import apply
from saccade_models.images import Pixels, to_bgr
from saccade_models.operations import Operation
from saccade_models.video import VideoReader
from saccade_models.video_write import MAX_SIDE, VideoWriter

#: An operation and its place in the request.
Step = tuple[str, Operation]


def run(inputs: Inputs, params: EditVideoParams, context: Context) -> EditVideoResult:
    """Make the video; raises UnreadableInput, InputTooLarge and InvalidParams (naming the operation)."""
    file = inputs.one("video")
    context.uses_model("ffmpeg", f"pyav {av.__version__}")
    path = context.artifact("video.mp4")
    with VideoReader(file.path, field=file.field, tick=context.check_cancelled) as source:
        plan = schedule(source.timeline, params.operations, source.limits.max_frames)
        _encode(source, plan, _picture_steps(params), path, context)
        gaps = source.gaps
    with VideoReader(path, tick=context.check_cancelled) as made:
        return EditVideoResult(video=made.facts, gaps=gaps)


def _encode(source: VideoReader, plan: Schedule, steps: Sequence[Step], path: Path, context: Context) -> None:
    shown = plan.shown()
    times = dict(shown)
    writer: VideoWriter | None = None
    with ExitStack() as stack:
        for done, frame in enumerate(source.frames(index for index, _ in shown), start=1):
            pixels = _edited(frame.bgr(), steps)
            if writer is None:
                _check_size(pixels, source.limits.max_pixels)
                height, width = pixels.shape[:2]
                writer = stack.enter_context(VideoWriter(path, width=width, height=height, fps=plan.fps))
                if times[frame.index][0] > 0:
                    writer.write(pixels, 0.0)  # damaged at its begin: the first frame that can be read stands in
            for time_s in times[frame.index]:
                writer.write(pixels, time_s)
                context.check_cancelled()
            context.progress(done, len(shown), "frames")


def _picture_steps(params: EditVideoParams) -> list[Step]:
    return [
        (f"params.operations[{number}]", operation)
        for number, operation in enumerate(params.operations)
        if not isinstance(operation, EditVideoTrim | EditVideoFps)
    ]


def _edited(pixels: Pixels, steps: Sequence[Step]) -> Pixels:
    for field, operation in steps:
        pixels = apply(pixels, operation, field)
    return to_bgr(pixels)


def _check_size(pixels: Pixels, max_pixels: int) -> None:
    height, width = pixels.shape[:2]
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        text = f"The video's frames would be larger than {max_pixels:,} pixels or {MAX_SIDE} a side."
        raise InvalidParams(text, field="params.operations", received=f"{width}x{height}")
