"""A zip archive with a folder of pictures for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from saccade_core.kind import InputFile
from saccade_models.archives import Archive
from saccade_models.datasets.picture_set import (
    PartName,
    PicturePart,
    PictureSet,
    Step,
    check_classes,
    natural_order,
    part_name,
    refused,
)

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pnm"})
#: Archive name -> part (None where the archive has none) and class.
_Places = Mapping[str, tuple[PartName | None, str]]


def read_class_folders(archive: Archive, file: InputFile, folder: Path, step: Step) -> PictureSet:
    """The pictures of ``archive``, unpacked below ``folder``; not decoded yet.

    Layouts: ``cats/1.jpg``, or ``train/cats/1.jpg`` with ``valid`` (``val``) and ``test`` beside it; each also inside
    folders that hold everything, as zip tools make them. Folders below a class belong to it. Files without a
    picture's ending, AppleDouble files (``._1.jpg``) and pictures outside of a class's folder are passed over, and
    named in ``ignored``. Raises UnreadableInput where the folders make no data set.
    """
    pictures = [name for name in archive.names if _is_picture(name)]
    if not pictures:
        raise refused(file, "there are no pictures in it")
    places = _placed(pictures, file)
    if not places:
        raise refused(file, "its pictures do not lie in a folder for each class")
    classes = natural_order({label for _, label in places.values()})
    paths = archive.extract(folder, places, step)
    numbers = {label: number for number, label in enumerate(classes)}
    grouped: dict[PartName, list[str]] = {}
    for name, (part, _) in places.items():
        grouped.setdefault(part or "train", []).append(name)
    parts: dict[PartName, PicturePart] = {
        part: _part(names, [numbers[places[n][1]] for n in names], paths, file) for part, names in grouped.items()
    }
    check_classes(classes, parts, file)
    ignored = [name for name in archive.names if name not in places]
    return PictureSet(form="folders", classes=classes, parts=parts, ignored=ignored)


def _is_picture(name: str) -> bool:
    last = name.rpartition("/")[2]
    return not last.startswith("._") and Path(last).suffix.lower() in _SUFFIXES


def _placed(pictures: Sequence[str], file: InputFile) -> _Places:
    """Where each picture belongs; those outside of a class's folder are left out."""
    split = {name: name.split("/") for name in pictures}
    while len({parts[0] for parts in split.values()}) == 1 and any(len(parts) > 2 for parts in split.values()):
        split = {name: parts[1:] for name, parts in split.items()}
    inside = {name: parts for name, parts in split.items() if len(parts) > 1}
    tops = {parts[0] for parts in inside.values()}
    known, others = sorted(top for top in tops if part_name(top)), sorted(top for top in tops if not part_name(top))
    if not known or (others and all(len(parts) == 2 for parts in inside.values())):  # "train" may be a vehicle
        return {name: (None, parts[0]) for name, parts in inside.items()}
    if others:
        raise refused(file, f"folder {others[0]!r} lies beside {known[0]!r}: is it a class, or a part?")
    return {name: (part_name(parts[0]), parts[1]) for name, parts in inside.items() if len(parts) > 2}


def _part(names: Sequence[str], labels: Sequence[int], paths: Mapping[str, Path], file: InputFile) -> PicturePart:
    files = [InputFile(paths[name], name, "application/octet-stream", file.field) for name in names]
    return PicturePart(files, np.asarray(labels, dtype=np.int64), names)
