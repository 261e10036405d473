"""YOLO folders as zip: ``labels/*.txt``, one line for each box, from outside.

A line is ``class x y width height`` and, of a prediction, ``score``: the box's centre and sides in shares of the
picture's sides. ``data.yaml`` (its ``names``) or ``classes.txt`` names the classes; without them class 3 is called
``3``. A folder ``images`` tells which pictures there are besides those that have labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import yaml

from saccade_core.errors import InputError, InputTooLarge
from saccade_core.kind import InputFile
from saccade_models.archives import Archive, ArchiveLimits, open_archive
from saccade_models.evaluation.annotations import MAX_BOXES, MAX_CLASSES, MAX_IMAGES, Annotations, build

_LIMITS = ArchiveLimits(files=MAX_IMAGES, bytes=64 << 30, file_bytes=4 << 30)
_MAX_LABEL_BYTES, _MAX_NAMES_BYTES = 4 << 20, 1 << 20
_MAX_YAML_BYTES = 64 << 10  # brackets in brackets take the parser a second, and a second more for each 64 KiB
#: Boxes may stick out a little: labels are written with few digits, and some detectors do not clip.
_MAX_SHARE = 10.0
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}

Box: TypeAlias = tuple[float, float, float, float]


def read_yolo(file: InputFile, *, scored: bool) -> tuple[Annotations, bool]:
    """The boxes, normalised, and whether the archive says which pictures there are (it has a folder ``images``).

    Raises InputError naming file and line, and what ``open_archive`` raises.
    """
    with open_archive(file, _LIMITS) as archive:
        texts = _by_stem(_label_files(archive), file)
        pictures = _by_stem([n for n in archive.names if _is_picture(n)], file)
        names = sorted(texts.keys() | pictures.keys())
        places = {name: place for place, name in enumerate(names)}
        rows: list[tuple[int, int, Box, bool]] = []
        scores: list[float] = []
        for stem, name in texts.items():
            for class_id, box, score in _boxes(archive.read(name, _MAX_LABEL_BYTES), name, file, scored=scored):
                rows.append((places[stem], class_id, box, False))
                scores.append(score)
            if len(rows) > MAX_BOXES:
                raise InputTooLarge(f"At most {MAX_BOXES} boxes are measured.", field=file.field, received=len(rows))
        labels = _labels(archive, file, max((row[1] for row in rows), default=-1))
    return build(labels, names, rows, scores if scored else None, normalised=True), bool(pictures)


def _label_files(archive: Archive) -> list[str]:
    """The ``*.txt`` in folders called ``labels``; where there is no such folder, all but ``classes.txt``."""
    texts = [n for n in archive.names if n.lower().endswith(".txt") and PurePosixPath(n).name != "classes.txt"]
    return [n for n in texts if "labels" in PurePosixPath(n).parts[:-1]] or texts


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in _IMAGES and "images" in path.parts[:-1]


def _by_stem(names: Sequence[str], file: InputFile) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(names):
        stem = PurePosixPath(name).stem
        if stem in found:
            raise InputError(
                f"{file.name}: two files are of one picture: {found[stem]!r} and {name!r}.",
                field=file.field,
                received=stem,
            )
        found[stem] = name
    return found


def _boxes(data: bytes, name: str, file: InputFile, *, scored: bool) -> list[tuple[int, Box, float]]:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{file.name}: {name!r} is no text.", field=file.field, received=name) from None
    return [
        _line(line, f"{name!r} line {number}", file, scored=scored)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _line(line: str, place: str, file: InputFile, *, scored: bool) -> tuple[int, Box, float]:
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if scored and len(numbers) == 5:
        raise _wrong(file, place, "have a score (0..1) as its sixth number: these are predictions", line)
    if len(numbers) not in {5, 6}:
        raise _wrong(file, place, "be: class x y width height, and of a prediction its score", line)
    class_id, x, y, width, height = numbers[:5]
    if not (class_id.is_integer() and 0 <= class_id < MAX_CLASSES):
        raise _wrong(file, place, f"begin with a class number from 0 to {MAX_CLASSES - 1}", line)
    if not all(math.isfinite(v) and abs(v) <= _MAX_SHARE for v in numbers[1:5]) or min(width, height) < 0:
        raise _wrong(file, place, "give the box in shares of the picture's sides, 0..1", line)
    score = numbers[5] if scored else 1.0
    if not 0 <= score <= 1:
        raise _wrong(file, place, "end with a score from 0 to 1", line)
    return int(class_id), (x - width / 2, y - height / 2, width, height), score


def _labels(archive: Archive, file: InputFile, highest: int) -> list[str]:
    """Names of the classes 0 to ``highest`` at least."""
    names = _named(archive, file)
    return [*names, *(str(number) for number in range(len(names), highest + 1))]


def _named(archive: Archive, file: InputFile) -> list[str]:
    by_name = {PurePosixPath(n).name: n for n in sorted(archive.names, key=len, reverse=True)}
    if "data.yaml" in by_name:
        return _from_yaml(archive.read(by_name["data.yaml"], _MAX_YAML_BYTES), file)
    if "classes.txt" in by_name:
        text = archive.read(by_name["classes.txt"], _MAX_NAMES_BYTES).decode("utf-8-sig", "replace")
        return _checked([line.strip() for line in text.splitlines() if line.strip()], "classes.txt", file)
    return []


def _from_yaml(data: bytes, file: InputFile) -> list[str]:
    try:
        value: Any = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(f"{file.name}: data.yaml is no valid YAML.", field=file.field, received="data.yaml") from None
    names: Any = value.get("names") if isinstance(value, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    return _checked(names, "data.yaml", file)


def _checked(names: Any, where: str, file: InputFile) -> list[str]:
    fine = isinstance(names, list) and all(_is_name(name) for name in names)
    if not fine or len({str(n) for n in names}) < len(names) or len(names) > MAX_CLASSES:
        raise InputError(
            f"{file.name}: {where} must name the classes 0, 1, 2 ..., each with a name of its own.",
            field=file.field,
            received=where,
        )
    return [str(n) for n in names]


def _is_name(name: Any) -> bool:
    if isinstance(name, int):  # YAML reads ``names: [0, 1]`` so; one of thousands of digits cannot be written out
        return abs(name) < 10**18
    return isinstance(name, str) and 0 < len(name) <= 1000


def _wrong(file: InputFile, place: str, rule: str, line: str) -> InputError:
    return InputError(f"{file.name}: {place} must {rule}.", field=file.field, received=line.strip()[:80])
