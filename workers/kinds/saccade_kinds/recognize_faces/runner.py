"""Runs ``recognize_faces``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part
from saccade_kinds.recognize_faces.contract import RecognizeFacesFace, RecognizeFacesParams, RecognizeFacesResult
from saccade_models.draw import LabelColors, bgr
from saccade_models.faces.calibrate import calibrate, pairs
from saccade_models.faces.drawing import FaceMark, draw_faces
from saccade_models.faces.embed import MODEL, THRESHOLD
from saccade_models.faces.recognition import MeasuredFace, Recognition
from saccade_models.faces.search import Candidate, FaceIndex
from saccade_models.images import Pixels
from saccade_models.media import FrameItems, Item, Look, MediaRunner, Seen

_STRANGER = bgr("#9aa0a6")


@dataclass(frozen=True, slots=True)
class _Limit:
    """The least similarity that names a face, and how far it can be trusted."""

    threshold: float
    notes: list[str]


#: Thresholds that were computed in this process, by gallery, revision and rate: each costs up to seconds.
_computed: dict[tuple[str, int, float], _Limit] = {}


@contextmanager
def _look(params: RecognizeFacesParams, context: Context) -> Generator[Look]:
    recognition = Recognition.load(context)
    index = _index(context)
    limit = _limit(params, index, context)

    def see(pictures: Sequence[Pixels]) -> list[list[Item]]:
        return [_named(recognition.faces(picture), index, limit, params) for picture in pictures]

    yield Look(items="faces", see=see, draw=_draw)


@contextmanager
def _joining(params: RecognizeFacesParams, context: Context) -> Generator[Look]:
    """Parts saw the gallery as it was when each began: who was removed since is named no more."""
    known = set(context.gallery().people)

    def amend(frame: FrameItems) -> bool:
        return sum(_blank(item, known) for item in frame.items) > 0

    with _look(params, context) as look:
        yield replace(look, amend=amend)


def _blank(item: Item, known: Collection[str]) -> bool:
    """Take people who are not ``known`` out of a face, in place; whether it was named after one."""
    item["candidates"] = [candidate for candidate in item["candidates"] if candidate["person"] in known]
    item["similarity"] = item["candidates"][0]["similarity"] if item["candidates"] else None
    gone = item["person"] is not None and item["person"] not in known
    if gone:
        item["person"] = None
    return gone


def _index(context: Context) -> FaceIndex:
    return FaceIndex(context.gallery(), context.model(MODEL))


def _limit(params: RecognizeFacesParams, index: FaceIndex, context: Context) -> _Limit:
    rate = params.max_false_accept_rate
    if rate is None:
        return _Limit(THRESHOLD if params.threshold is None else params.threshold, [])
    key = (index.files.id, index.files.revision, rate)
    if key not in _computed:
        _computed.clear()
        found = pairs(index.embeddings, index.owners, tick=context.check_cancelled)
        calibration = calibrate(found, rate, THRESHOLD)
        note = (
            f"The rate is that of one comparison; looking for a face in this gallery makes {len(index):,} comparisons."
        )
        _computed[key] = _Limit(calibration.point.threshold, [*calibration.notes, note])
    return _computed[key]


def _named(faces: list[MeasuredFace], index: FaceIndex, limit: _Limit, params: RecognizeFacesParams) -> list[Item]:
    if not faces:
        return []
    found = index.search(np.stack([face.embedding for face in faces]), params.max_candidates)
    return [_item(face, people, limit) for face, people in zip(faces, found, strict=True)]


def _item(face: MeasuredFace, people: list[Candidate], limit: _Limit) -> Item:
    best = people[0] if people else None
    return {
        "box": [*face.face.shown_box],
        "person": best.person if best and best.similarity >= limit.threshold else None,
        "similarity": best.similarity if best else None,
        "candidates": [{"person": c.person, "similarity": c.similarity} for c in people],
    }


def _draw(pixels: Pixels, items: Sequence[Item], colors: LabelColors) -> None:
    draw_faces(pixels, [_mark(item, colors) for item in items])


def _mark(item: Item, colors: LabelColors) -> FaceMark:
    person: str | None = item["person"]
    if person is None:
        return FaceMark(item["box"], "unknown", color=_STRANGER)
    return FaceMark(item["box"], f"{person} {item['similarity']:.2f}", color=colors[person], short=person)


def _result(params: RecognizeFacesParams, seen: Seen, context: Context) -> RecognizeFacesResult:
    limit = _limit(params, _index(context), context)
    people: Counter[str] = Counter()
    for frame in seen.frames():
        people.update({item["person"] for item in frame.items if item["person"] is not None})
    return RecognizeFacesResult(
        media=seen.media,
        width=seen.width,
        height=seen.height,
        video=seen.video,
        faces=None if seen.video else [RecognizeFacesFace.model_validate(item) for item in seen.items],
        people=dict(people.most_common()),
        threshold=limit.threshold,
        notes=limit.notes,
    )


_media, _joined = MediaRunner(_look, _result), MediaRunner(_joining, _result)
run = _media.run


def plan(inputs: Inputs, params: RecognizeFacesParams, context: Context) -> Sequence[Part]:
    """A long video's segments. They share one threshold, whatever becomes of the gallery meanwhile."""
    parts = _media.plan(inputs, params, context)
    limit = asdict(_limit(params, _index(context), context)) if parts else {}
    return [replace(part, spec={**part.spec, "limit": limit}) for part in parts]


def run_part(inputs: Inputs, params: RecognizeFacesParams, context: Context, part: Part) -> dict[str, Any]:
    """See one segment; gives its counts."""
    return _media.run_part(inputs, _with(params, _planned(part)), context, part)


def join(
    inputs: Inputs, params: RecognizeFacesParams, context: Context, parts: Sequence[DonePart]
) -> RecognizeFacesResult:
    """The segments put together; who was removed from the gallery meanwhile is named in none of them."""
    limit = _planned(parts[0].part)
    result = _joined.join(inputs, _with(params, limit), context, parts)
    return result.model_copy(update={"notes": limit.notes})


def _planned(part: Part) -> _Limit:
    return _Limit(**part.spec["limit"])


def _with(params: RecognizeFacesParams, limit: _Limit) -> RecognizeFacesParams:
    return params.model_copy(update={"threshold": limit.threshold, "max_false_accept_rate": None})
