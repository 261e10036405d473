"""Runs ``detect_faces``."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from saccade_core.kind import Context
from saccade_kinds.detect_faces.contract import DetectFacesFace, DetectFacesParams, DetectFacesResult
from saccade_models.draw import LabelColors
from saccade_models.faces import Face, Settings, detector
from saccade_models.faces.drawing import FaceMark, draw_faces, has_room
from saccade_models.images import Pixels
from saccade_models.media import Item, Look, MediaRunner, Seen


@contextmanager
def _look(params: DetectFacesParams, context: Context) -> Generator[Look]:
    engine = detector(params.engine, context)
    settings = Settings(params.min_score, params.scale_factor, params.min_neighbors)

    def see(pictures: Sequence[Pixels]) -> list[list[Item]]:
        return [[_item(face) for face in engine.detect(picture, settings)] for picture in pictures]

    yield Look(items="faces", see=see, draw=_draw)


def _item(face: Face) -> Item:
    return {
        "box": [*face.shown_box],
        "score": round(face.score, 4),
        "landmarks": [[round(x, 2), round(y, 2)] for x, y in face.landmarks],
    }


def _draw(pixels: Pixels, items: Sequence[Item], _colors: LabelColors) -> None:
    draw_faces(
        pixels,
        [
            FaceMark(i["box"], f"{i['score']:.2f}" if has_room(pixels, i["box"]) else "", landmarks=i["landmarks"])
            for i in items
        ],
    )


def _result(_params: DetectFacesParams, seen: Seen, _context: Context) -> DetectFacesResult:
    return DetectFacesResult(
        media=seen.media,
        width=seen.width,
        height=seen.height,
        video=seen.video,
        faces=None if seen.video else [DetectFacesFace.model_validate(item) for item in seen.items],
    )


_media = MediaRunner(_look, _result)
run, plan, run_part, join = _media.run, _media.plan, _media.run_part, _media.join
