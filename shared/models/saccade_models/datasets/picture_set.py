"""Labelled pictures as every reader of this package gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.images import Pixels

PartName = Literal["train", "valid", "test"]
Step = Callable[[], None]

MAX_PICTURES = 500_000
MAX_CLASSES = 1000
#: Bytes of all arrays of a data set, unpacked.
MAX_ARRAY_BYTES = 2 << 30
#: Height and width of pictures in an array.
MAX_ARRAY_SIDE = 4096
_MAX_CLASS_NAME = 100


@dataclass(frozen=True, slots=True)
class PicturePart:
    """Pictures with their classes, N of each.

    ``source``: files, or one uint8 array (N, H, W) grey or (N, H, W, 3) RGB. ``labels`` (N,) int64 are indices into
    the set's ``classes``. ``names`` are for people: the path in the archive, or ``train[12]``.
    """

    source: Sequence[InputFile] | Pixels
    labels: NDArray[np.int64]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def taken(self, wanted: Sequence[int] | NDArray[np.int64]) -> PicturePart:
        """The pictures at these places."""
        chosen = np.asarray(wanted, dtype=np.int64)
        places: list[int] = chosen.tolist()
        labels, names = self.labels[chosen], [self.names[i] for i in places]
        if isinstance(self.source, np.ndarray):
            return PicturePart(self.source[chosen], labels, names)
        return PicturePart([self.source[i] for i in places], labels, names)


@dataclass(frozen=True, slots=True)
class PictureSet:
    """A data set: ``train`` always, ``valid`` and ``test`` where they were given.

    ``ignored`` names what lay in the archive and is no picture of a class.
    """

    form: Literal["folders", "idx", "npz"]
    classes: Sequence[str]
    parts: dict[PartName, PicturePart]
    ignored: Sequence[str] = field(default_factory=tuple[str, ...])


def part_name(word: str) -> PartName | None:
    """The part that a folder's or array's name stands for; None where it is none."""
    word = word.lower()
    if word in {"train", "training"}:
        return "train"
    if word in {"valid", "val", "validation", "dev"}:
        return "valid"
    return "test" if word in {"test", "testing", "t10k"} else None


def check_classes(classes: Sequence[str], parts: dict[PartName, PicturePart], file: InputFile) -> None:
    """Raises UnreadableInput or InputTooLarge unless there are 2 to 1,000 classes, each with pictures to learn from."""
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise refused(
            file, f"a classifier has 2 to {MAX_CLASSES} classes, this data has {len(classes)}{_some(classes)}"
        )
    for name in classes:
        if not 1 <= len(name) <= _MAX_CLASS_NAME or not name.isprintable():
            raise refused(file, f"a class's name is 1 to {_MAX_CLASS_NAME} printable characters, not {name[:100]!r}")
    if "train" not in parts:
        raise refused(file, f"there are no pictures to train with, only for: {', '.join(parts)}")
    counts = np.bincount(parts["train"].labels, minlength=len(classes))
    missing = [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 0]
    if missing:
        raise refused(file, f"no training picture shows{_some(missing)}")
    total = sum(len(part) for part in parts.values())
    if total > MAX_PICTURES:
        raise InputTooLarge(f"A data set holds at most {MAX_PICTURES:,} pictures.", field=file.field, received=total)


def refused(file: InputFile, reason: str) -> UnreadableInput:
    """The error for a data set that cannot be used."""
    return UnreadableInput(f"The data set cannot be used: {reason}.", field=file.field, received=file.name)


def natural_order(names: set[str]) -> list[str]:
    """Sorted; by value where all are whole numbers."""
    if all(name.isascii() and name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    return ": " + ", ".join(repr(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
