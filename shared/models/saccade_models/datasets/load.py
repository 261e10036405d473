"""Pictures of a data set as one array, of the size that a network takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from saccade_core.errors import InputError, InvalidParams
from saccade_core.kind import InputFile
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.datasets.picture_set import PicturePart, Step
from saccade_models.datasets.prepare import fitting, read_fitting
from saccade_models.images import READABLE, Pixels

#: Bytes of all pictures as float32; a training holds them in memory, some of them twice.
MAX_BYTES = 3 << 30
#: Headers that are read to see what a set's pictures are like.
_LOOKED_AT = 2000
_GREY_MODES = frozenset({"1", "L", "I;16", "I;16B", "I"})
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that is left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """N pictures that could be read: ``pixels`` uint8 (N, height, width, channels), RGB; ``labels`` (N,) int64."""

    pixels: Pixels
    labels: NDArray[np.int64]
    names: Sequence[str]
    unreadable: Sequence[Unreadable]


@dataclass(frozen=True, slots=True)
class Look:
    """What pictures are like, by the headers of up to 2,000 of them: ``size`` (height, width) where all have one."""

    size: tuple[int, int] | None
    channels: Literal[1, 3]


def look_at(part: PicturePart) -> Look:
    """The pictures' common size, upright, and 1 channel where all are grey; unreadable ones do not count."""
    if isinstance(part.source, np.ndarray):
        height, width = part.source.shape[1:3]
        return Look((height, width), 3 if part.source.ndim == 4 else 1)
    step = max(1, len(part) // _LOOKED_AT)
    headers = [found for file in part.source[::step] if (found := _header(file))]
    sizes = Counter((height, width) for height, width, _ in headers)
    grey = bool(headers) and all(grey for _, _, grey in headers)
    return Look(next(iter(sizes)) if len(sizes) == 1 else None, 1 if grey else 3)


def load(part: PicturePart, wanted: PictureInput, step: Step) -> Loaded:
    """Read and fit all pictures; those that cannot be read are named, not raised. ``step`` is called at each."""
    if not isinstance(part.source, np.ndarray) or part.source.shape[1:] != wanted.shape[: part.source.ndim - 1]:
        return _read(part, wanted, step)
    pixels = part.source if part.source.ndim == 4 else part.source[:, :, :, None]
    if pixels.shape[3] != wanted.channels:
        return _read(part, wanted, step)
    return Loaded(pixels, part.labels, part.names, [])


def check_memory(pictures: int, shape: tuple[int, int, int]) -> None:
    """Raises InvalidParams where so many pictures of this shape do not fit in memory, with a size that does."""
    height, width, channels = shape
    needed = pictures * height * width * channels * 4
    if needed > MAX_BYTES:
        side = int((MAX_BYTES / (pictures * channels * 4)) ** 0.5)
        raise InvalidParams(
            f"{pictures:,} pictures of {width}x{height} need {needed / 2**30:.1f} GiB, and {MAX_BYTES >> 30} GiB are "
            f"allowed: an image_size of {side} fits.",
            field="params.image_size",
            received=[height, width],
        )


def _read(part: PicturePart, wanted: PictureInput, step: Step) -> Loaded:
    pixels = np.empty((len(part), *wanted.shape), dtype=np.uint8)
    kept: list[int] = []
    unreadable: list[Unreadable] = []
    for number, name in enumerate(part.names):
        step()
        try:
            pixels[len(kept)] = _one(part, number, wanted)
        except InputError as error:
            unreadable.append(Unreadable(name, error.message))
        else:
            kept.append(number)
    return Loaded(pixels[: len(kept)], part.labels[kept], [part.names[i] for i in kept], unreadable)


def _one(part: PicturePart, number: int, wanted: PictureInput) -> Pixels:
    if isinstance(part.source, np.ndarray):
        return fitting(part.source[number], wanted)
    return read_fitting(part.source[number], wanted)


def _header(file: InputFile) -> tuple[int, int, bool] | None:
    """Height and width, upright, and whether it is grey; None where it is no picture."""
    try:
        with PIL.Image.open(file.path, formats=READABLE) as opened:
            turned = opened.getexif().get(_EXIF_ORIENTATION, 1) in {5, 6, 7, 8}
            grey = opened.mode in _GREY_MODES
            return (opened.width, opened.height, grey) if turned else (opened.height, opened.width, grey)
    except Exception:  # noqa: BLE001 - on hostile bytes Pillow raises anything; read_fitting says what is wrong
        return None
