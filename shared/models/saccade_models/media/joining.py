"""Finished segments put together: one frames.jsonl, one overlay.mp4, one sum."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from saccade_core.errors import UnreadableInput
from saccade_core.kind import Context
from saccade_models.media.look import Seen, Work, frame_line, read_frames
from saccade_models.media.paint import OVERLAY, Painter
from saccade_models.media.scan import FRAMES
from saccade_models.media.segments import Segment
from saccade_models.media.tally import TRUNCATED, Tally, gaps
from saccade_models.media_types import VideoSummary
from saccade_models.video_types import VideoFacts

if TYPE_CHECKING:
    from av.container.output import OutputContainer


@dataclass(frozen=True, slots=True)
class Scanned:
    """A segment that was seen: its counts, and the folder with frames.jsonl and perhaps overlay.mp4."""

    segment: Segment
    tally: Tally
    folder: Path


def join(work: Work, done: Sequence[Scanned], facts: VideoFacts) -> Seen:
    """The whole video's artefacts and counts; raises UnreadableInput where too many frames are missing."""
    look, params, context = work.look, work.params, work.context
    tally = _total(work, done)
    lines, sources = context.artifact(FRAMES), [part.folder / FRAMES for part in done]
    if look.relate is None:
        changed = _amend(work, sources, lines, facts)
        if params.overlay and changed:
            _paint(work, lines)
        elif params.overlay:
            _join_videos(done, context.artifact(OVERLAY), context)
    else:
        unrelated = context.scratch / "unrelated.jsonl"
        _join_lines(sources, unrelated)
        tally = _relate(work, unrelated, lines, facts, tally)
        if params.overlay:
            _paint(work, lines)
    context.progress(facts.frames, facts.frames, "done")
    summary = VideoSummary(
        facts=facts,
        frames_seen=tally.frames_seen,
        frames_with_items=tally.frames_with_items,
        items=tally.items,
        most_at_once=tally.most_at_once,
        gaps=tally.gaps,
        gaps_left_out=tally.gaps_left_out,
    )
    return Seen("video", facts.width, facts.height, summary, [], lines, look.items)


def _total(work: Work, done: Sequence[Scanned]) -> Tally:
    """All segments' counts, and what is missing at the file's end."""
    total, file, params = Tally(), work.file, work.params
    for part in done:
        total.add(part.tally, work.step)
    timeline = done[-1].segment.timeline
    end = max(timeline.count, timeline.declared)
    missing = range(timeline.count + -timeline.count % work.step, end, work.step)
    total.lost += len(range(timeline.count + -timeline.count % params.every_n, end, params.every_n))
    total.add_gaps(gaps(timeline, [missing], TRUNCATED), work.step)
    if not total.frames_seen:
        raise UnreadableInput("No frame of the video can be decoded.", field=file.field)
    wanted = total.frames_seen + total.lost
    if total.lost > params.max_failure_rate * wanted:
        raise UnreadableInput(
            f"{total.lost} of {wanted} frames cannot be read; "
            f"'max_failure_rate' allows a share of {params.max_failure_rate:g}.",
            field=file.field,
            received=total.lost,
        )
    return total


def _join_lines(sources: Sequence[Path], target: Path) -> None:
    with target.open("wb") as out:
        for source in sources:
            with source.open("rb") as part:
                shutil.copyfileobj(part, out, 1 << 20)


def _amend(work: Work, sources: Sequence[Path], target: Path, facts: VideoFacts) -> bool:
    """All frames, amended where the kind asks for it, into ``target``; whether any is to be drawn anew."""
    look, changed = work.look, False
    if look.amend is None:
        _join_lines(sources, target)
        return False
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for frame in (frame for source in sources for frame in read_frames(source, look.items)):
            changed |= look.amend(frame)
            out.write(frame_line(frame, look.items))
            work.context.progress(frame.index, facts.frames, "joining")
    return changed


def _relate(work: Work, source: Path, target: Path, facts: VideoFacts, before: Tally) -> Tally:
    """The frames of ``source``, related, into ``target``; their counts, with what ``before`` says is missing."""
    look, tally = work.look, Tally(lost=before.lost, gaps=before.gaps, gaps_left_out=before.gaps_left_out)
    frames = read_frames(source, look.items)
    related = frames if look.relate is None else look.relate(frames, facts)
    with target.open("w", encoding="utf-8", newline="\n") as out:
        for frame in tally.counted(related):
            out.write(frame_line(frame, look.items))
            if tally.frames_seen % 32 == 0:
                work.context.progress(frame.index, facts.frames, "relating")
    return tally


def _paint(work: Work, lines: Path) -> None:
    """Decode the video a second time and draw what was related."""
    seen = read_frames(lines, work.look.items)
    overlay = work.context.artifact(OVERLAY)
    with work.reader() as reader, Painter(overlay, reader, work.look, work.params.every_n) as painter:
        total, following = reader.timeline.count, next(seen, None)
        for frame in reader.frames(range(total)):
            while following is not None and following.index <= frame.index:
                painter.show(following)
                following = next(seen, None)
            painter.paint(frame)
            if frame.index % 8 == 0:
                work.context.progress(frame.index, total, "drawing")


def _join_videos(done: Sequence[Scanned], target: Path, context: Context) -> None:
    """The segments' overlays behind one another, without coding them anew.

    Painter writes them all with one size and rate and without B-frames, so that they have the same headers and
    only their times must be shifted.
    """
    if len(done) == 1:
        shutil.move(done[0].folder / OVERLAY, target)
        return
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as new:
        stream = None
        for part in done:
            context.check_cancelled()
            if (part.folder / OVERLAY).exists():  # not where no frame could be decoded
                start_s = part.segment.timeline.time_s(part.segment.start)
                stream = _append(new, stream, part.folder / OVERLAY, start_s)


def _append(new: OutputContainer, stream: Any, source: Path, start_s: float) -> Any:
    with av.open(str(source)) as old:
        track = old.streams.video[0]
        base = track.time_base or Fraction(1, 90_000)
        if stream is None:
            stream = new.add_stream_from_template(track)
        shift = round(Fraction(start_s) / base)
        for packet in old.demux(track):
            if packet.pts is not None:
                packet.pts = packet.dts = packet.pts + shift
                packet.stream = stream
                new.mux(packet)
    return stream
