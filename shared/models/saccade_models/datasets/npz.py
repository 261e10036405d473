"""numpy's archive of arrays: ``x_train``, ``y_train`` ..., as ``numpy.savez`` writes it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from saccade_core.errors import InputTooLarge, UntrustedModel
from saccade_core.kind import InputFile
from saccade_models.archives import Archive
from saccade_models.datasets.picture_set import (
    MAX_ARRAY_BYTES,
    MAX_ARRAY_SIDE,
    MAX_PICTURES,
    PartName,
    PicturePart,
    PictureSet,
    check_classes,
    natural_order,
    refused,
)
from saccade_models.images import Pixels

#: What the arrays of a part may be called: pictures, labels.
_NAMES: Mapping[PartName, tuple[tuple[str, str], ...]] = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y"), ("images", "labels")),
    "valid": (("x_valid", "y_valid"), ("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_CLASS_NAMES = ("class_names", "classes")
_MAX_HEADER = 10_000
#: Pictures whose values are turned into bytes at a time: no second copy of all of them is made.
_AT_ONCE = 256


def read_npz(archive: Archive, file: InputFile) -> PictureSet:
    """The pictures of an ``.npz``: arrays (N, H, W) or (N, H, W, 1 or 3; RGB), of numbers within 0..255 or 0..1.

    All parts have one scale: where no value of any part is above 1 (booleans among them), 1 is white, else 255 is.
    Labels are (N,) or (N, 1), whole numbers or words; ``class_names`` may give the numbers' names. Objects (pickles)
    are refused, and so are arrays whose size is not their header's, before anything is allocated. Raises
    UnreadableInput, InputTooLarge or UntrustedModel.
    """
    names = {name.removesuffix(".npy"): name for name in archive.names}
    found: dict[PartName, tuple[str, str]] = {}
    for part, pairs in _NAMES.items():
        for pair in pairs:
            if part not in found and all(name in names for name in pair):
                found[part] = pair
    if "train" not in found:
        raise refused(file, f"it needs the arrays x_train and y_train, or x and y; it has: {_list(names)}")
    words: dict[PartName, NDArray[Any]] = {
        part: _labels(_read(archive, names[y], file), y, file) for part, (_, y) in found.items()
    }
    classes, numbered = _classes(words, _class_names(archive, names, file), file)
    arrays: dict[PartName, NDArray[Any]] = {}
    for part, (x, _) in found.items():
        arrays[part] = _pictures(_read(archive, names[x], file), x, file)
        if len(arrays[part]) != len(numbered[part]):
            held = f"{len(arrays[part])} pictures and {len(numbered[part])} labels belong to them"
            raise refused(file, f"{x!r} holds {held}")
    white = _white({found[part][0]: array for part, array in arrays.items()}, file)
    parts: dict[PartName, PicturePart] = {}
    for part in found:
        pixels = _pixels(arrays.pop(part), white)
        parts[part] = PicturePart(pixels, numbered[part], [f"{part}[{i}]" for i in range(len(pixels))])
    check_classes(classes, parts, file)
    used = {name for pair in found.values() for name in pair} | set(_CLASS_NAMES)
    return PictureSet(form="npz", classes=classes, parts=parts, ignored=[n for n in names if n not in used])


def _read(archive: Archive, name: str, file: InputFile) -> NDArray[Any]:
    """One array, after its header has been checked."""
    if archive.size(name) > MAX_ARRAY_BYTES:
        raise InputTooLarge(
            f"An array may hold at most {MAX_ARRAY_BYTES >> 20} MiB; {name!r} holds more.",
            field=file.field,
            received=archive.size(name),
        )
    stream = io.BytesIO(archive.read(name, MAX_ARRAY_BYTES))
    try:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream, max_header_size=_MAX_HEADER)
    except (ValueError, EOFError, OSError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise refused(file, f"{name!r} has no readable header") from None
    if dtype.hasobject:
        raise UntrustedModel(
            f"{name!r} holds Python objects, which could run code when they are loaded; give numbers or words.",
            field=file.field,
            received=str(dtype),
        )
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != archive.size(name) - stream.tell():
        raise refused(file, f"{name!r} is not of the size that its header says ({' x '.join(map(str, shape))})")
    stream.seek(0)
    try:
        return np.asarray(np.load(stream, allow_pickle=False))
    except (ValueError, EOFError, OSError):
        raise refused(file, f"{name!r} is damaged") from None


def _pictures(array: NDArray[Any], name: str, file: InputFile) -> NDArray[Any]:
    """As (N, H, W) or (N, H, W, 3) numbers."""
    shape = " x ".join(map(str, array.shape))
    colour = array.ndim == 4 and array.shape[3] in {1, 3}
    if not (array.ndim == 3 or colour) or not all(1 <= side <= MAX_ARRAY_SIDE for side in array.shape[1:3]):
        raise refused(file, f"{name!r} is {shape}; it should be pictures x height x width, or ... x 1 or 3 channels")
    if not 1 <= len(array) <= MAX_PICTURES:
        raise refused(file, f"{name!r} holds {len(array)} pictures; 1 to {MAX_PICTURES:,} are read")
    if array.dtype.kind not in "biuf":
        raise refused(file, f"{name!r} holds {array.dtype} values, not numbers")
    return array[:, :, :, 0] if colour and array.shape[3] == 1 else array


def _white(arrays: Mapping[str, NDArray[Any]], file: InputFile) -> Literal[1, 255]:
    """What stands for white in all of them; refused where it is 1 in one array and 255 in another."""
    highest: dict[str, float] = {}
    for name, array in arrays.items():
        low, highest[name] = float(array.min()), float(array.max())
        if not (low >= 0 and highest[name] <= 255):  # also where one of them is not a number
            raise refused(file, f"{name!r} has values from {low:g} to {highest[name]:g}; 0 to 255, or 0 to 1, are read")
    white = 1 if max(highest.values()) <= 1 else 255
    dark = [name for name, high in highest.items() if 0 < high <= 1]
    if white == 255 and dark:
        bright = next(name for name, high in highest.items() if high > 1)
        raise refused(file, f"{dark[0]!r} has values from 0 to 1 and {bright!r} from 0 to 255; give all in one range")
    return white


def _pixels(array: NDArray[Any], white: Literal[1, 255]) -> Pixels:
    """As uint8, 255 is white."""
    if array.dtype == np.uint8 and white == 255:
        return array
    pixels = np.empty(array.shape, dtype=np.uint8)
    kind = np.float64 if array.dtype == np.float64 else np.float32
    for start in range(0, len(array), _AT_ONCE):
        values = array[start : start + _AT_ONCE].astype(kind)
        pixels[start : start + _AT_ONCE] = np.rint(values * (255 // white))
    return pixels


def _labels(array: NDArray[Any], name: str, file: InputFile) -> NDArray[Any]:
    """(N,) whole numbers or words."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iubfU":
        shape = " x ".join(map(str, array.shape))
        raise refused(file, f"{name!r} is {shape} of {array.dtype}; it should be one whole number or word per picture")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise refused(file, f"{name!r} has labels that are no whole numbers")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _class_names(archive: Archive, names: Mapping[str, str], file: InputFile) -> list[str] | None:
    for name in _CLASS_NAMES:
        if name in names:
            array = _read(archive, names[name], file)
            if array.ndim != 1 or array.dtype.kind != "U" or len(set(array.tolist())) != array.size:
                raise refused(file, f"{name!r} should be a list of different words")
            return [str(word) for word in array.tolist()]
    return None


def _classes(
    labels: Mapping[PartName, NDArray[Any]], names: list[str] | None, file: InputFile
) -> tuple[list[str], dict[PartName, NDArray[np.int64]]]:
    """The classes that occur in any part, and each part's labels as indices into them."""
    if len({array.dtype.kind == "U" for array in labels.values()}) > 1:
        raise refused(file, "some of its labels are words and some are numbers")
    values = sorted({value for array in labels.values() for value in np.unique(array).tolist()})
    numbers: dict[PartName, NDArray[np.int64]] = {
        part: np.searchsorted(np.asarray(values), array).astype(np.int64) for part, array in labels.items()
    }
    if values and isinstance(values[0], str):
        order = natural_order(set(values))
        place = np.asarray([order.index(value) for value in values], dtype=np.int64)
        for part, array in numbers.items():
            numbers[part] = place[array]
        return order, numbers
    if names is None:
        return [str(value) for value in values], numbers
    if values[0] < 0 or values[-1] >= len(names):
        raise refused(file, f"its labels go from {values[0]} to {values[-1]}, and there are {len(names)} class names")
    return [names[value] for value in values], numbers


def _list(names: Mapping[str, str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in list(names)[:10])
    return shown + (", ..." if len(names) > 10 else "")
