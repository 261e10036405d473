"""Runs a kind that looks at pictures and videos: whole, or a video segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Generic, TypeVar

from saccade_core.errors import UnreadableInput
from saccade_core.kind import Context, InputFile, Inputs
from saccade_core.media_types import HEAD_BYTES, UNKNOWN, media_type_of
from saccade_core.parts import DonePart, Part
from saccade_models.images import Pixels
from saccade_models.media.joining import Scanned, join
from saccade_models.media.look import Look, Seen, Work
from saccade_models.media.pictures import read_picture, see_picture
from saccade_models.media.scan import FRAMES, scan
from saccade_models.media.segments import Segment, segments
from saccade_models.media.tally import Tally
from saccade_models.media_types import MediaParams, MediaResult
from saccade_models.video import VideoReader
from saccade_models.video_types import VideoFacts

P = TypeVar("P", bound=MediaParams)
R = TypeVar("R", bound=MediaResult)


class MediaRunner(Generic[P, R]):
    """The four functions of such a kind's runner; its input is called ``media``.

    ``look`` is entered for each of them but ``plan``, also where nothing is to be seen any more (``join``): what is
    heavy should be loaded once in a process, at the first picture. ``result`` makes the kind's result, and what
    artefacts of its own it has. All raise UnreadableInput and InputTooLarge, naming the input's field.
    """

    def __init__(
        self,
        look: Callable[[P, Context], AbstractContextManager[Look]],
        result: Callable[[P, Seen, Context], R],
    ) -> None:
        self._look, self._result = look, result

    def run(self, inputs: Inputs, params: P, context: Context) -> R:
        """The whole job."""
        with self._work(inputs, params, context) as work:
            opened = _open(work)
            if isinstance(opened, VideoReader):
                with opened as reader:
                    whole = Segment(0, reader.timeline.count, reader.timeline)
                    tally = scan(work, reader, whole, context.scratch)
                seen = join(work, [Scanned(whole, tally, context.scratch)], reader.facts)
            else:
                seen = see_picture(work, opened)
            return self._result(params, seen, context)

    def plan(self, inputs: Inputs, params: P, context: Context) -> Sequence[Part]:
        """A long video's segments; none for what ``run`` does in one go."""
        file = inputs.one("media")
        if _family(file) == "image":
            return []
        try:
            reader = VideoReader(file.path, field=file.field, tick=context.check_cancelled)
        except UnreadableInput:
            return []  # perhaps a picture; if not, run() says why
        with reader:
            facts, found = reader.facts.model_dump(), segments(reader.timeline, params.every_n)
        if len(found) == 1:
            return []
        return [
            Part(number, {**segment.spec(), "facts": facts}, weight=segment.stop - segment.start)
            for number, segment in enumerate(found)
        ]

    def run_part(self, inputs: Inputs, params: P, context: Context, part: Part) -> dict[str, Any]:
        """See one segment; gives its counts."""
        segment, folder = Segment.of(part.spec), context.artifact(FRAMES).parent
        with self._work(inputs, params, context) as work, work.reader(segment.timeline) as reader:
            return scan(work, reader, segment, folder).to_json()

    def join(self, inputs: Inputs, params: P, context: Context, parts: Sequence[DonePart]) -> R:
        """The segments put together, as if they had been seen in one go."""
        done = [Scanned(Segment.of(p.part.spec), Tally.of(p.result), p.folder) for p in parts]
        facts = VideoFacts.model_validate(parts[0].part.spec["facts"])
        with self._work(inputs, params, context) as work:
            return self._result(params, join(work, done, facts), context)

    @contextmanager
    def _work(self, inputs: Inputs, params: P, context: Context) -> Generator[Work]:
        with self._look(params, context) as look:
            yield Work(inputs.one("media"), look, params, context)


def _open(work: Work) -> Pixels | VideoReader:
    """A picture's pixels or a video's reader, whatever the file is."""
    file = work.file
    match _family(file):
        case "image":
            return read_picture(file)
        case "video":
            return work.reader()
        case _:
            return _try_both(work)


def _try_both(work: Work) -> Pixels | VideoReader:
    file = work.file
    with suppress(UnreadableInput):
        return read_picture(file)
    with suppress(UnreadableInput):
        return work.reader()
    raise UnreadableInput(
        f"{file.name!r} is neither a picture nor a video that can be read.", field=file.field, received=file.name
    )


def _family(file: InputFile) -> str:
    """``image``, ``video`` or another, by the recognised type, else by the first bytes."""
    media_type = file.media_type
    if media_type == UNKNOWN:
        with file.path.open("rb") as stream:
            media_type = media_type_of(stream.read(HEAD_BYTES), file.name)
    return media_type.partition("/")[0]
