"""Decodes in this thread and writes pictures in another beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av

from saccade_core.errors import InvalidParams
from saccade_core.kind import Context, Inputs
from saccade_kinds.extract_frames.contact_sheet import ContactSheet
from saccade_kinds.extract_frames.contract import ExtractFramesFrame, ExtractFramesParams, ExtractFramesResult
from saccade_kinds.extract_frames.scenes import SceneCuts
from saccade_models.images import EXTENSIONS, write_image
from saccade_models.video import Frame, VideoReader
from saccade_models.video_timeline import Timeline

_DEFAULT_EVERY_N = 5
#: Pictures that wait to be written, at most: they hold the decoder's memory.
_WAITING = 4


def run(inputs: Inputs, params: ExtractFramesParams, context: Context) -> ExtractFramesResult:
    """Take the frames out; raises UnreadableInput, InputTooLarge, InvalidParams (times after the video's end)."""
    file = inputs.one("video")
    context.uses_model("ffmpeg", f"pyav {av.__version__}")
    with VideoReader(file.path, field=file.field, tick=context.check_cancelled) as video:
        wanted = _wanted(video.timeline, params)
        frames = _chosen(video, wanted, params, context)
        taken = _write_all(frames, params, context)
        return ExtractFramesResult(
            video=video.facts,
            count=len(taken),
            frames=taken,
            gaps=video.gaps,
            truncated=len(taken) == params.max_frames and _more_follow(frames, wanted, params),
        )


def _wanted(line: Timeline, params: ExtractFramesParams) -> Sequence[int]:
    """Indices of the frames to take (for scenes: to look at), ascending."""
    if params.start_s >= line.duration_s:
        text = f"start_s lies after the video's end at {line.duration_s:.3f} s."
        raise InvalidParams(text, field="params.start_s", received=params.start_s)
    inside = line.indices(params.start_s, params.end_s)
    if params.scenes:
        return inside
    if params.keyframes:
        return [i for i in line.keys if i in inside]
    if params.times_s is not None:
        late = [t for t in params.times_s if t >= line.duration_s]
        if late:
            text = f"times_s must lie before the video's end at {line.duration_s:.3f} s."
            raise InvalidParams(text, field="params.times_s", received=late[0])
        return sorted({line.index_at(t) for t in params.times_s} & set(inside))
    if params.fps is not None:
        end = line.duration_s if params.end_s is None else min(params.end_s, line.duration_s)
        count = int((end - params.start_s) * params.fps - 1e-9) + 1
        return sorted({line.index_at(params.start_s + i / params.fps) for i in range(count)})
    return inside[:: params.every_n or _DEFAULT_EVERY_N]


def _chosen(
    video: VideoReader, wanted: Sequence[int], params: ExtractFramesParams, context: Context
) -> Iterator[Frame]:
    """The frames to write; progress goes by how far the video has been read."""
    if not params.scenes:
        wanted = wanted[: params.max_frames]
    cuts = SceneCuts(params.scene_threshold)
    for done, frame in enumerate(video.frames(wanted, keyframes_only=params.keyframes), start=1):
        context.progress(done, len(wanted), "frames")
        if not params.scenes or cuts.begins_with(frame):
            yield frame


def _write_all(frames: Iterator[Frame], params: ExtractFramesParams, context: Context) -> list[ExtractFramesFrame]:
    suffix = EXTENSIONS[params.format]
    sheet = ContactSheet()
    taken: list[ExtractFramesFrame] = []
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-frames") as writer:
        for frame in frames:
            name = f"frames/frame_{frame.index:06d}.{suffix}"
            waiting.append(writer.submit(_write, frame, context.artifact(name), params, sheet))
            if len(waiting) > _WAITING:
                waiting.popleft().result()
            taken.append(ExtractFramesFrame(index=frame.index, time_s=round(frame.time_s, 6), name=name))
            if len(taken) == params.max_frames:
                break
        for future in waiting:
            future.result()
    if taken:
        write_image(context.artifact("contact-sheet.jpg"), sheet.picture(), "jpeg", 85)
    return taken


def _write(frame: Frame, path: Path, params: ExtractFramesParams, sheet: ContactSheet) -> None:
    if params.format == "jpeg":
        path.write_bytes(frame.jpeg(params.quality, params.max_side))
    else:
        write_image(path, frame.bgr(params.max_side), params.format, params.quality)
    sheet.add(frame)


def _more_follow(frames: Iterator[Frame], wanted: Sequence[int], params: ExtractFramesParams) -> bool:
    return next(frames, None) is not None if params.scenes else len(wanted) > params.max_frames
