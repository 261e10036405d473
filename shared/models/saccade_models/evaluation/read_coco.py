"""COCO JSON: data sets (``images``, ``annotations``, ``categories``) and lists of results, from outside.

The format: cocodataset.org, "Data format" and "Results format". Everything but boxes (masks, key points) is
passed over.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from saccade_core.errors import InputError, InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.evaluation.annotations import MAX_BOXES, MAX_CLASSES, MAX_IMAGES, Annotations, build

MAX_BYTES = 200 << 20
#: Largest magnitude of a coordinate, in pixels.
_MAX_PIXELS = 1e7

Id: TypeAlias = int | str
Entry: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CocoIds:
    """What a data set's ids stand for: places in ``labels`` (by category id) and ``names`` (by image id)."""

    labels: Sequence[str]
    names: Sequence[str]
    categories: Mapping[Id, int]
    images: Mapping[Id, int]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A data set as read; ``sizes`` are its pictures' (width, height), where all have one."""

    annotations: Annotations
    ids: CocoIds
    sizes: Sequence[tuple[float, float]] | None


def read_json(file: InputFile) -> Any:
    """The JSON value in ``file``; raises UnreadableInput or InputTooLarge."""
    size = file.path.stat().st_size
    if size > MAX_BYTES:
        raise InputTooLarge(
            f"A JSON file of boxes may have at most {MAX_BYTES >> 20} MiB.", field=file.field, received=size
        )
    try:
        return json.loads(file.path.read_bytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise UnreadableInput("The file is no valid JSON.", field=file.field, received=file.name) from None


def read_dataset(value: Any, file: InputFile, *, scored: bool) -> CocoFile:
    """A COCO data set; with ``scored`` each annotation must have a ``score``. Raises InputError naming the entry."""
    if not isinstance(value, dict):
        raise _wrong(file, "the file", "an object with images, annotations and categories", value)
    pictures = sorted(_list(value, "images", file), key=_by_id)
    classes = _list(value, "categories", file)
    ids = CocoIds(
        labels=_distinct([_text(c, "name", f"categories (id {_short(c['id'])})", file) for c in classes]),
        names=image_keys([_text(p, "file_name", f"images (id {_short(p['id'])})", file) for p in pictures]),
        categories=_numbered(classes, "categories", file),
        images=_numbered(pictures, "images", file),
    )
    entries = _list(value, "annotations", file)
    return CocoFile(_read_entries(entries, "annotations", ids, file, scored=scored), ids, _sizes(pictures))


def read_results(value: Any, truth: CocoFile, file: InputFile) -> Annotations:
    """A COCO list of results, whose ids are those of ``truth``; raises InputError naming the entry."""
    if not isinstance(value, list):
        raise _wrong(file, "the file", "a list of results", value)
    return _read_entries(value, "results", truth.ids, file, scored=True)


def _read_entries(entries: Sequence[Any], where: str, ids: CocoIds, file: InputFile, *, scored: bool) -> Annotations:
    """Annotations or results as they stand in the file, checked one by one."""
    if len(entries) > MAX_BOXES:
        raise InputTooLarge(f"At most {MAX_BOXES} boxes are measured.", field=file.field, received=len(entries))
    rows: list[tuple[int, int, tuple[float, float, float, float], bool]] = []
    scores: list[float] = []
    for number, entry in enumerate(entries):
        place = f"{where}[{number}]"
        if not isinstance(entry, dict):
            raise _wrong(file, place, "an object", entry)
        image = _known(entry, "image_id", ids.images, place, file)
        category = _known(entry, "category_id", ids.categories, place, file)
        rows.append((image, category, _box(entry, place, file), _crowd(entry, place, file)))
        if scored:
            scores.append(_score(entry, place, file))
    return build(ids.labels, ids.names, rows, scores if scored else None, normalised=False)


def image_keys(file_names: Sequence[str]) -> list[str]:
    """By what pictures are told apart: file names without folder and ending, or whole where two are alike."""
    stems = [PurePosixPath(name.replace("\\", "/")).stem for name in file_names]
    count = Counter(stems)
    return [stem if count[stem] == 1 else name for stem, name in zip(stems, file_names, strict=True)]


def normalised(dataset: CocoFile, file: InputFile) -> Annotations:
    """The boxes in shares of their pictures' sides; raises InputError where a picture's size is not given."""
    pixels = dataset.annotations
    if dataset.sizes is None:
        raise InputError(
            "To be compared with a YOLO folder, each picture in COCO JSON needs its width and height.",
            field=file.field,
            received=file.name,
        )
    sides = np.array(dataset.sizes, dtype=np.float64).reshape(-1, 2)[pixels.image]
    return Annotations(
        pixels.labels,
        pixels.images,
        pixels.image,
        pixels.class_id,
        pixels.boxes / np.hstack([sides, sides]),
        pixels.crowd,
        pixels.scores,
        normalised=True,
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON.")


def _list(value: Entry, name: str, file: InputFile) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise _wrong(file, name, "a list", found)
    limit = {"images": MAX_IMAGES, "categories": MAX_CLASSES}.get(name, MAX_BOXES)
    if len(found) > limit:
        raise InputTooLarge(f"At most {limit} {name} are read.", field=file.field, received=len(found))
    for number, entry in enumerate(found):
        if not isinstance(entry, dict) or (name != "annotations" and not _is_id(entry.get("id"))):
            raise _wrong(file, f"{name}[{number}]", "an object, with an id where it is a picture or category", entry)
    return found


def _is_id(value: Any) -> TypeGuard[Id]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _by_id(entry: Entry) -> tuple[bool, Any]:
    return isinstance(entry["id"], str), entry["id"]


def _numbered(entries: Sequence[Entry], name: str, file: InputFile) -> dict[Id, int]:
    places: dict[Id, int] = {}
    for place, entry in enumerate(entries):
        if entry["id"] in places:
            raise _wrong(file, name, "ids that differ", entry["id"])
        places[entry["id"]] = place
    return places


def _text(entry: Entry, key: str, place: str, file: InputFile) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise _wrong(file, f"{place}.{key}", "a text of 1 to 1,000 letters", value)
    return value


def _distinct(labels: Sequence[str]) -> list[str]:
    """Names of classes; of two alike the later gets its place as a suffix (``cell#2``)."""
    seen: set[str] = set()
    named: list[str] = []
    for place, label in enumerate(labels):
        name = label if label not in seen else f"{label}#{place}"
        seen.add(name)
        named.append(name)
    return named


def _sizes(pictures: Sequence[Entry]) -> list[tuple[float, float]] | None:
    sizes = [(picture.get("width"), picture.get("height")) for picture in pictures]
    if not all(_is_number(side) and 0 < side <= _MAX_PIXELS for size in sizes for side in size):
        return None
    return [(float(w), float(h)) for w, h in sizes if w and h]


def _known(entry: Entry, key: str, places: Mapping[Id, int], place: str, file: InputFile) -> int:
    value: Any = entry.get(key)
    if not _is_id(value) or value not in places:
        what = "picture" if key == "image_id" else "category"
        raise _wrong(file, f"{place}.{key}", f"the id of a {what} in the data set", value)
    return places[value]


def _is_number(value: Any) -> TypeGuard[float]:
    # Compared, not converted: an integer of JSON may be too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _box(entry: Entry, place: str, file: InputFile) -> tuple[float, float, float, float]:
    value = entry.get("bbox")
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(_is_number(v) and abs(v) <= _MAX_PIXELS for v in value)
        or min(value[2:]) < 0
    ):
        raise _wrong(file, f"{place}.bbox", "[x, y, width, height] in pixels, finite, width and height >= 0", value)
    return float(value[0]), float(value[1]), float(value[2]), float(value[3])


def _crowd(entry: Entry, place: str, file: InputFile) -> bool:
    value: Any = entry.get("iscrowd", 0)
    if value not in (0, 1):
        raise _wrong(file, f"{place}.iscrowd", "0 or 1", value)
    return bool(value)


def _score(entry: Entry, place: str, file: InputFile) -> float:
    value = entry.get("score")
    if not _is_number(value) or not 0 <= value <= 1:
        raise _wrong(file, f"{place}.score", "a number from 0 to 1", value)
    return float(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(file: InputFile, place: str, rule: str, value: Any) -> InputError:
    return InputError(f"{file.name}: {place} must be {rule}.", field=file.field, received=_short(value))
