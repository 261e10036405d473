"""Runs ``calibrate_gallery``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from saccade_core.errors import InvalidParams
from saccade_core.kind import Context, GalleryFiles, Inputs
from saccade_kinds.calibrate_gallery.contract import (
    CalibrateGalleryLookAlikes,
    CalibrateGalleryParams,
    CalibrateGalleryPhoto,
    CalibrateGalleryPoint,
    CalibrateGalleryResult,
)
from saccade_kinds.calibrate_gallery.curve import draw_curve
from saccade_models.faces.calibrate import Point, calibrate, pairs
from saccade_models.faces.doubts import MAX_FACES, OddPhoto, look_alikes, odd_photos
from saccade_models.faces.embed import MODEL, THRESHOLD
from saccade_models.faces.search import FaceIndex

_STEPS = 4


def run(_inputs: Inputs, params: CalibrateGalleryParams, context: Context) -> CalibrateGalleryResult:
    """Compare the gallery's faces with each other; raises InvalidParams where it holds fewer than two."""
    index = FaceIndex(context.gallery(), context.model(MODEL))
    if len(index) < 2:
        raise InvalidParams(
            f"Gallery {params.gallery!r} holds {len(index)} faces; at least two are needed to compare.",
            field="params.gallery",
            received=params.gallery,
        )
    tick = context.check_cancelled
    context.progress(0, _STEPS, "comparing")
    found = pairs(index.embeddings, index.owners, tick=tick)
    calibration = calibrate(found, params.max_false_accept_rate, THRESHOLD)
    threshold = calibration.point.threshold
    context.progress(1, _STEPS, "looking for people who look alike")
    doubtful = max(
        threshold, THRESHOLD
    )  # whatever rate was asked for, below the model's own two faces are two people's
    alike = look_alikes(index.embeddings, index.owners, doubtful, tick=tick)
    context.progress(2, _STEPS, "looking for poor photos")
    odd = odd_photos(index.embeddings, index.owners, doubtful, tick=tick)
    context.progress(3, _STEPS, "drawing")
    _write_csv(context.artifact("curve.csv"), calibration.curve)
    draw_curve(context.artifact("curve.png"), found, calibration)
    context.progress(_STEPS, _STEPS, "done")
    people = index.files.people
    return CalibrateGalleryResult(
        threshold=threshold,
        false_accept_rate=calibration.point.false_accept_rate,
        false_reject_rate=calibration.point.false_reject_rate,
        people=len(np.unique(index.owners)),
        faces=len(index),
        genuine_pairs=calibration.genuine_pairs,
        impostor_pairs=calibration.impostor_pairs,
        curve=[_point(point) for point in calibration.curve],
        look_alikes=[
            CalibrateGalleryLookAlikes(
                first=people[a.first], second=people[a.second], best=round(a.best, 4), mean=round(a.mean, 4)
            )
            for a in alike
        ],
        poor_photos=_photos(index, odd),
        notes=[*calibration.notes, *_size_notes(len(index))],
    )


def _point(point: Point) -> CalibrateGalleryPoint:
    return CalibrateGalleryPoint(
        threshold=point.threshold,
        false_accept_rate=point.false_accept_rate,
        false_reject_rate=point.false_reject_rate,
    )


def _photos(index: FaceIndex, odd: Sequence[OddPhoto]) -> list[CalibrateGalleryPhoto]:
    people, ids = index.files.people, _face_ids(index.files, {photo.row for photo in odd})
    return [
        CalibrateGalleryPhoto(
            face=ids[photo.row],
            person=people[int(index.owners[photo.row])],
            best=round(photo.best, 4),
            nearest=None if photo.nearest is None else people[photo.nearest],
            nearest_similarity=None if photo.nearest_similarity is None else round(photo.nearest_similarity, 4),
        )
        for photo in odd
    ]


def _face_ids(files: GalleryFiles, rows: set[int]) -> dict[int, str]:
    """Ids of these rows; a gallery may have a million."""
    with files.faces.open(encoding="utf-8") as lines:
        return {number: line.strip() for number, line in enumerate(lines) if number in rows}


def _size_notes(faces: int) -> Iterable[str]:
    if faces > MAX_FACES:
        yield f"With more than {MAX_FACES:,} faces, only the people's mean faces were searched for look-alikes."


def _write_csv(path: Path, curve: Sequence[Point]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["threshold", "false_accept_rate", "false_reject_rate"])
        rows.writerows(
            [p.threshold, *("" if r is None else r for r in (p.false_accept_rate, p.false_reject_rate))] for p in curve
        )
