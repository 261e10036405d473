"""Runs ``find_landmarks``."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saccade_core.kind import Context
from saccade_kinds.find_landmarks.contract import KIND, FindLandmarksParams, FindLandmarksResult, FindLandmarksSubject
from saccade_models.draw import LabelColors
from saccade_models.images import Pixels
from saccade_models.landmarks import Settings, Subject, load
from saccade_models.landmarks.draw import draw_subject
from saccade_models.media import FrameItems, Item, Look, MediaRunner, Seen
from saccade_models.mediapipe_task import VERSION

_COLUMNS = ("frame", "time_s", "subject", "what", "handedness", "point", "x", "y", "z", "visibility")


@contextmanager
def _look(params: FindLandmarksParams, context: Context) -> Generator[Look]:
    context.uses_model("mediapipe", VERSION)
    settings = Settings(params.max_subjects, params.min_score, params.blendshapes)
    landmarker = load(params.what, context.model(KIND.models(params)[0]).path, settings)

    def see(pictures: Sequence[Pixels]) -> list[list[Item]]:
        return [[_item(subject) for subject in landmarker.find(picture)] for picture in pictures]

    yield Look(items="subjects", see=see, draw=_draw)


def _item(subject: Subject) -> Item:
    return {
        "what": subject.what,
        "points": _rounded(subject.points, 2),
        "score": None if subject.score is None else round(subject.score, 4),
        "handedness": subject.handedness,
        "visibility": None if subject.visibility is None else _rounded(subject.visibility, 4),
        "blendshapes": {name: round(value, 4) for name, value in subject.blendshapes.items()} or None,
    }


def _rounded(values: NDArray[np.float64], digits: int) -> list[float]:
    return np.round(values, digits).tolist()


def _draw(pixels: Pixels, items: Sequence[Item], _colors: LabelColors) -> None:
    kinds = {item["what"] for item in items}
    for item in items:
        draw_subject(
            pixels,
            item["what"],
            np.array(item["points"], dtype=np.float64),
            handedness=item["handedness"],
            visibility=item["visibility"],
            with_face=kinds > {"face_mesh"},
        )


def _result(params: FindLandmarksParams, seen: Seen, context: Context) -> FindLandmarksResult:
    if params.csv:
        _write_csv(context.artifact("landmarks.csv"), seen, context)
    return FindLandmarksResult(
        media=seen.media,
        width=seen.width,
        height=seen.height,
        video=seen.video,
        subjects=None if seen.video else [FindLandmarksSubject.model_validate(item) for item in seen.items],
    )


def _write_csv(path: Path, seen: Seen, context: Context) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for frame in seen.frames():
            context.check_cancelled()
            rows.writerows(_rows(frame))


def _rows(frame: FrameItems) -> Iterator[tuple[object, ...]]:
    for number, item in enumerate(frame.items):
        head = (frame.index, frame.time_s, number, item["what"], item["handedness"] or "")
        visibility = item["visibility"] or [""] * len(item["points"])
        for index, (point, visible) in enumerate(zip(item["points"], visibility, strict=True)):
            yield (*head, index, *point, visible)


_media = MediaRunner(_look, _result)
run, plan, run_part, join = _media.run, _media.plan, _media.run_part, _media.join
