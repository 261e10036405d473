"""Reading videos: probing, decoding in order, seeking, and going on behind a damaged part. Sound is not read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from av.error import FFmpegError

from saccade_core.errors import UnreadableInput
from saccade_models.images import Pixels
from saccade_models.video_open import VideoLimits, open_video
from saccade_models.video_pictures import Orientation, fit, orientation, to_bgr, to_jpeg
from saccade_models.video_timeline import PacketTimes, Timeline, timeline
from saccade_models.video_types import VideoFacts, VideoGap

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    AnyPacket: TypeAlias = Packet[Any]

#: Decoders in which "not a reference" is exact, so that frames nobody wants may be left undecoded.
_EXACT_NONREF = frozenset({"h264", "mpeg4"})
#: A seek empties the decoder's pipeline: below this many frames decoding on is faster.
_SEEK_PAYS = 24
_READ_ERRORS_IN_A_ROW = 100


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: ``index`` counts from 0, ``time_s`` from the first frame.

    ``size`` is the video's (width, height) before turning: where a stream changes its size, frames are scaled to
    the first one's.
    """

    index: int
    time_s: float
    picture: VideoFrame
    size: tuple[int, int]
    turn: Orientation

    def bgr(self, max_side: int | None = None) -> Pixels:
        """The upright picture, (H, W, 3) uint8 BGR; no side longer than ``max_side``, the aspect ratio kept."""
        return to_bgr(self.picture, fit(*self.size, max_side), self.turn)

    def jpeg(self, quality: int, max_side: int | None = None) -> bytes:
        """The upright picture as JPEG; ``quality`` 1..100, ``max_side`` as above."""
        return to_jpeg(self.picture, fit(*self.size, max_side), self.turn, quality)


def _no_tick() -> None:
    return


class _Holes:
    """Looks for bytes that belong to no packet, in containers without an index: there packets have vanished.

    What a container itself adds is less than 2 KiB and a 16th of a packet (MPEG-TS: 4 bytes in 188).
    """

    def __init__(self, demuxer: str) -> None:
        self.watched = demuxer.partition(",")[0] in {"matroska", "mpegts", "flv"}
        self.found = False
        self._end: int | None = None

    def see(self, packet: AnyPacket) -> None:
        """Take note of the next packet, of any stream."""
        if not self.watched or packet.pos is None or packet.pos < 0:
            return
        if self._end is not None and packet.pos - self._end > 2048 + packet.size // 16:
            self.found = True
        self._end = packet.pos + packet.size + packet.size // 16


class VideoReader:
    """A video file, opened and probed.

    ``field`` names the input in errors; ``tick`` is called about five times a second while reading (it may
    raise, to cancel). ``known`` is the timeline of the same file, or the part of it that will be read, from an
    earlier time: without it the whole file is read through. Raises UnreadableInput (no video, no frame that can be
    decoded) and InputTooLarge. ``gaps`` grows while ``frames`` runs.
    """

    def __init__(
        self,
        path: Path,
        *,
        field: str = "video",
        limits: VideoLimits | None = None,
        tick: Callable[[], None] = _no_tick,
        known: Timeline | None = None,
    ) -> None:
        self.path = path
        self.field = field
        self.limits = limits or VideoLimits()
        self.gaps: list[VideoGap] = []
        self._tick = tick
        self._next_tick = 0.0
        self._container, self._stream = open_video(self.path, self.field, self.limits)
        try:
            self.timeline, first = self._probe() if known is None else (known, self._first_picture())
        except BaseException:
            self.close()
            raise
        self.size, self.turn = (first.width, first.height), orientation(first)
        width, height = self.turn.size(*self.size)
        self.facts = VideoFacts(
            width=width,
            height=height,
            fps=round(self.timeline.fps, 3),
            frames=self.timeline.count,
            duration_s=round(self.timeline.duration_s, 3),
            codec=self._stream.codec_context.codec.canonical_name,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the file and the decoder."""
        self._container.close()

    def frames(self, wanted: Iterable[int] | None = None, *, keyframes_only: bool = False) -> Iterator[Frame]:
        """Decode the frames ``wanted`` (ascending indices; None: all), in order.

        What cannot be decoded is left out and noted in ``gaps``; frames between those wanted are skipped where
        that changes nothing. ``keyframes_only`` is for ``wanted`` that are all key frames. Raises
        UnreadableInput where not one frame could be decoded.
        """
        everything = wanted is None
        indices = list(range(self.timeline.count) if wanted is None else wanted)
        delivered = 0
        for run in self._runs(indices):
            for frame in self._decode(run, everything, keyframes_only):
                delivered += 1
                yield frame
        if everything or (indices and indices[-1] == self.timeline.count - 1):
            self._note_truncation()
        if indices and not delivered:
            raise UnreadableInput("No frame of the video can be decoded.", field=self.field)

    # Probing -----------------------------------------------------------------------------------------

    def _probe(self) -> tuple[Timeline, VideoFrame]:
        """Read all packets, and decode until there is one picture: it knows size and orientation."""
        found: list[PacketTimes] = []
        first: VideoFrame | None = None
        discarded = 0
        holes = _Holes(self._container.format.name)
        for packet in self._packets(*([] if holes.watched else [self._stream])):
            holes.see(packet)
            if packet.stream_index != self._stream.index:
                continue
            if not (packet.dts is None and packet.size == 0):
                if packet.is_discard or self._is_hidden(packet):
                    discarded += 1
                else:
                    found.append(PacketTimes(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe))
                    self.limits.check_count(len(found), self.field)
            if first is None:
                first = next(iter(self._pictures(packet)[0]), None)
        if not found:
            raise UnreadableInput("The video holds no frames.", field=self.field)
        if first is None:
            raise UnreadableInput("No frame of the video can be decoded.", field=self.field)
        self.limits.check_size(first.width, first.height, self.field)
        rate = self._stream.average_rate or self._stream.guessed_rate
        base = self._stream.time_base
        if base is None or not rate:
            raise UnreadableInput("The video has no frame rate.", field=self.field)
        declared = max(0, self._stream.frames - discarded)
        most = self.limits.max_frames
        line = timeline(found, base, rate, declared=declared, lost_bytes=holes.found, max_frames=most)
        self.limits.check_duration(line.duration_s, self.field)
        return line, first

    def _first_picture(self) -> VideoFrame:
        """Decode until there is one picture."""
        for packet in self._packets(self._stream):
            for picture in self._pictures(packet)[0]:
                self.limits.check_size(picture.width, picture.height, self.field)
                return picture
        raise UnreadableInput("No frame of the video can be decoded.", field=self.field)

    def _is_hidden(self, packet: AnyPacket) -> bool:
        """Whether a VP8 packet makes a reference that is never shown (RFC 6386, 9.1: bit 4 of the first byte)."""
        name = self._stream.codec_context.codec.canonical_name
        return name == "vp8" and packet.size > 0 and not memoryview(packet)[0] >> 4 & 1

    # Decoding ----------------------------------------------------------------------------------------

    def _runs(self, wanted: list[int]) -> Iterator[list[int]]:
        """``wanted`` in runs that are best decoded in one go; between runs a seek pays."""
        run: list[int] = []
        for before, index in pairwise([-1, *wanted]):
            key = self.timeline.key_before(index)
            if run and key is not None and key[0] > before + _SEEK_PAYS:
                yield run
                run = []
            run.append(index)
        if run:
            yield run

    def _decode(self, wanted: list[int], everything: bool, keyframes_only: bool) -> Iterator[Frame]:
        expected, packets = self._enter(wanted[0])
        line, ctx = self.timeline, self._stream.codec_context
        asked = set(wanted)
        asked_pts = {line.pts_of(i) for i in wanted}
        skip = self._skip_mode(everything, keyframes_only)
        ctx.skip_frame = "DEFAULT"
        damaged = False
        for packet in packets:
            if skip is not None:
                needed = packet.pts is None or packet.pts in asked_pts
                ctx.skip_frame = "DEFAULT" if needed and not keyframes_only else skip
            pictures, failed = self._pictures(packet)
            damaged |= failed
            for picture in pictures:
                index = line.locate(picture.pts, expected)
                if index < expected:
                    continue  # before the key frame that was sought
                if picture.is_corrupt:
                    damaged = True
                    continue
                self.limits.check_size(picture.width, picture.height, self.field)
                if index > expected and (skip is None or damaged or not asked.isdisjoint(range(expected, index))):
                    self._note_gap(expected, index - 1)
                damaged, expected = False, index + 1
                if index in asked:
                    yield Frame(index, line.time_s(index), picture, self.size, self.turn)
                if index >= wanted[-1]:
                    return
        if expected <= wanted[-1]:
            self._note_gap(expected, wanted[-1])

    def _skip_mode(self, everything: bool, keyframes_only: bool) -> Literal["NONKEY", "NONREF"] | None:
        if keyframes_only:
            return "NONKEY"
        exact = self._stream.codec_context.codec.canonical_name in _EXACT_NONREF
        return "NONREF" if exact and self.timeline.timed and not everything else None

    def _enter(self, index: int) -> tuple[int, Iterator[AnyPacket]]:
        """Go to the key frame at or before ``index``: its index, and the packets from there on."""
        key = self.timeline.key_before(index)
        if key is not None and key[0] > 0:
            try:
                self._container.seek(key[1], stream=self._stream)
                packets = self._packets(self._stream)
                head = next(packets)
            except (FFmpegError, StopIteration):
                head, packets = None, iter(())
            if head is not None and head.pts is not None and head.pts <= self.timeline.pts_of(key[0]):
                return max(self.timeline.first, self.timeline.locate(head.pts, key[0])), chain([head], packets)
        # From the start, in a fresh container: not every demuxer can seek back to its first packet.
        self.close()
        self._container, self._stream = open_video(self.path, self.field, self.limits)
        return self.timeline.first, self._packets(self._stream)

    def _packets(self, *streams: VideoStream) -> Iterator[AnyPacket]:
        """The streams' packets (none named: all streams') and a flush packet; goes on after a read error."""
        errors = 0
        while errors < _READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(*streams):
                    errors = 0
                    self._tick_sometimes()
                    yield packet
            except FFmpegError:
                errors += 1
                continue
            return

    def _pictures(self, packet: AnyPacket) -> tuple[list[VideoFrame], bool]:
        """The pictures that ``packet`` completes, and whether the decoder found damage."""
        try:
            return self._stream.decode(packet), packet.is_corrupt
        except FFmpegError:
            return [], True

    def _tick_sometimes(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + 0.2
            self._tick()

    # Damage ---------------------------------------------------------------------------------------------

    def _note_truncation(self) -> None:
        count = self.timeline.count
        if self.timeline.declared > count:
            self._note_gap(count, self.timeline.declared - 1, "The file ends before these frames.")

    def _note_gap(self, first: int, last: int, message: str = "These frames are damaged and were left out.") -> None:
        if self.gaps and self.gaps[-1].to_index >= first - 1 and self.gaps[-1].message == message:
            first = min(first, self.gaps.pop().from_index)
        line = self.timeline
        start, end = round(line.time_s(first), 6), round(line.time_s(last), 6)
        self.gaps.append(VideoGap(from_index=first, to_index=last, from_time_s=start, to_time_s=end, message=message))
