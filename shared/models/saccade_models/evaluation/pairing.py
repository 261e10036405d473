"""Truth and predictions brought to one set of pictures and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from saccade_core.errors import InputError, InputTooLarge
from saccade_core.kind import InputFile
from saccade_models.evaluation.annotations import MAX_BOXES_OF_A_PICTURE, Annotations, Indices
from saccade_models.evaluation.read_coco import normalised, read_dataset, read_json, read_results
from saccade_models.evaluation.read_yolo import read_yolo


@dataclass(frozen=True, slots=True)
class Pair:
    """``predictions`` have the ``labels`` and ``images`` of ``truth``; ``notes`` say what people should know."""

    truth: Annotations
    predictions: Annotations
    notes: Sequence[str]


def read_pair(truth: InputFile, predictions: InputFile) -> Pair:
    """Read both files: COCO JSON (a data set; as predictions also a list of results) or a YOLO folder as zip.

    Pictures are the same where their file names are, without folder and ending (a list of results: by their ids).
    Classes are the same by name; by number where both are YOLO and one has no names. Where one file is COCO and
    the other YOLO, pixels become shares of the pictures' sides: the overlap of boxes does not change when x and y
    are scaled, each for itself. Raises InputError where a file breaks its format, a score is missing, or
    a picture of the predictions is not one of the truth.
    """
    if _is_zip(truth):
        known, complete = read_yolo(truth, scored=False)
        found = _read_predictions(predictions, normal=True)
        known = known if complete else _with_images(known, found.images)
    else:
        dataset = read_dataset(read_json(truth), truth, scored=False)
        if not _is_zip(predictions):
            value = read_json(predictions)
            if isinstance(value, list):
                return _checked(dataset.annotations, read_results(value, dataset, predictions), [], truth, predictions)
            found, known = read_dataset(value, predictions, scored=True).annotations, dataset.annotations
        else:
            found, known = read_yolo(predictions, scored=True)[0], normalised(dataset, truth)
    return _aligned(known, found, truth, predictions)


def _read_predictions(file: InputFile, *, normal: bool) -> Annotations:
    if _is_zip(file):
        return read_yolo(file, scored=True)[0]
    value = read_json(file)
    if isinstance(value, list):
        raise InputError(
            "A list of results has the ids of a COCO data set, and the truth is a YOLO folder: give the predictions "
            "as a COCO data set with images and categories, or as a YOLO folder.",
            field=file.field,
            received=file.name,
        )
    dataset = read_dataset(value, file, scored=True)
    return normalised(dataset, file) if normal else dataset.annotations


def _is_zip(file: InputFile) -> bool:
    with file.path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _with_images(truth: Annotations, images: Sequence[str]) -> Annotations:
    """The truth with pictures added that only the predictions name: they hold nothing."""
    names = sorted({*truth.images, *images})
    places = {name: place for place, name in enumerate(names)}
    return replace(truth, images=names, image=_mapped(truth.image, [places[n] for n in truth.images]))


def _aligned(truth: Annotations, found: Annotations, file: InputFile, predictions: InputFile) -> Pair:
    notes: list[str] = []
    images = {name: place for place, name in enumerate(truth.images)}
    strange = [name for name in found.images if name not in images]
    if strange:
        raise InputError(
            f"{len(strange)} of the predictions' pictures are not in the truth, {strange[0][:80]!r} for one.",
            field=predictions.field,
            received=strange[0][:80],
        )
    labels, classes = _classes(truth.labels, found.labels)
    unknown = [label for label in found.labels if label not in classes]
    places = [classes.get(label, -1) for label in found.labels]
    placed = replace(
        found,
        labels=labels,
        images=truth.images,
        image=_mapped(found.image, [images[n] for n in found.images]),
        class_id=_mapped(found.class_id, places),
    )
    lost = np.flatnonzero(placed.class_id < 0)
    if len(lost):
        words = {str(found.labels[n]) for n in found.class_id[lost].tolist()}
        notes.append(
            f"{len(lost)} predictions are of classes that the truth does not have, and were not counted: "
            f"{', '.join(sorted(words))[:200]}."
        )
    if len(found) and len(lost) == len(found):
        raise InputError(
            f"No class of the predictions ({', '.join(unknown)[:200]}) is one of the truth "
            f"({', '.join(truth.labels)[:200]}).",
            field=predictions.field,
            received=", ".join(unknown)[:200],
        )
    kept = placed.taken(np.flatnonzero(placed.class_id >= 0))
    return _checked(replace(truth, labels=labels), kept, notes, file, predictions)


def _classes(truth: Sequence[str], found: Sequence[str]) -> tuple[Sequence[str], Mapping[str, int]]:
    """The names to use for the truth's classes, and the place there of each name in ``found`` that is known."""
    if _numbers_only(truth) or _numbers_only(found):
        labels = [*truth, *found[len(truth) :]] if _numbers_only(found) else [*found, *truth[len(found) :]]
        return labels, {name: place for place, name in enumerate(found)}
    places = {name: place for place, name in enumerate(truth)}
    return truth, {name: places[name] for name in found if name in places}


def _numbers_only(labels: Sequence[str]) -> bool:
    return all(label == str(place) for place, label in enumerate(labels))


def _mapped(values: Indices, places: Sequence[int]) -> Indices:
    return np.array(places, dtype=np.int64)[values] if len(values) else values


def _checked(
    truth: Annotations, predictions: Annotations, notes: list[str], file: InputFile, found_in: InputFile
) -> Pair:
    if not len(truth) or truth.crowd.all():
        raise InputError("The truth has no box: there is nothing to measure.", field=file.field, received=file.name)
    _check_crowding(truth, file)
    _check_crowding(predictions, found_in)
    silent = len(truth.images) - len(np.unique(predictions.image))
    if silent:
        notes.append(f"{silent} of {len(truth.images)} pictures have no predictions.")
    missed = sorted({str(truth.labels[n]) for n in np.setdiff1d(truth.class_id, predictions.class_id).tolist()})
    if missed:
        notes.append(f"Nothing was predicted of {len(missed)} classes: {', '.join(missed)[:200]}.")
    return Pair(truth, predictions, notes)


def _check_crowding(found: Annotations, file: InputFile) -> None:
    count = np.bincount(found.image) if len(found) else np.zeros(1, dtype=np.int64)
    if count.max() > MAX_BOXES_OF_A_PICTURE:
        raise InputTooLarge(
            f"At most {MAX_BOXES_OF_A_PICTURE} boxes of one picture are measured; "
            f"{found.images[int(count.argmax())][:80]!r} has more.",
            field=file.field,
            received=int(count.max()),
        )
