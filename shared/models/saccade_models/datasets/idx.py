"""IDX files, the form in which MNIST and its kin are published (Y. LeCun, C. Cortes, C. Burges).

Two zero bytes, the type of the values (8: unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values; plain or gzipped. A file's size must be what its header says, and nothing is
allocated before that has been checked.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saccade_core.errors import InputTooLarge
from saccade_core.kind import InputFile
from saccade_models.datasets.picture_set import (
    MAX_ARRAY_BYTES,
    MAX_ARRAY_SIDE,
    MAX_PICTURES,
    PartName,
    PicturePart,
    PictureSet,
    Step,
    check_classes,
    part_name,
    refused,
)
from saccade_models.images import Pixels

_UNSIGNED_BYTE = 0x08
_GZIP = b"\x1f\x8b"
#: Deflate cannot pack better (1032 to 1).
_MAX_RATIO = 1032
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Pair:
    part: PartName | None
    images: Pixels
    labels: Pixels


def is_idx(start: bytes) -> bool:
    """Whether a file that begins so may be IDX, plain or gzipped."""
    return start[:2] == _GZIP or (len(start) >= 4 and start[:3] == b"\0\0\x08" and 1 <= start[3] <= 4)


def read_idx(files: Sequence[InputFile], step: Step) -> PictureSet:
    """Pairs of images (N, H, W) or (N, H, W, 3) and labels (N,), one pair for each part.

    A file's part is in its name (``train-images-idx3-ubyte.gz``, ``t10k-labels...``); where names do not say it, the
    larger pair is for training and the other for testing. Raises UnreadableInput or InputTooLarge.
    """
    arrays = [(file, read_array(file, step)) for file in files]
    pairs = _paired(
        [(file, array) for file, array in arrays if array.ndim >= 3],
        [(file, array) for file, array in arrays if array.ndim == 1],
        files[0],
    )
    values = sorted({int(v) for pair in pairs.values() for v in np.unique(pair.labels)})
    classes = [str(v) for v in values]
    parts: dict[PartName, PicturePart] = {
        name: PicturePart(
            pair.images,
            np.searchsorted(values, pair.labels).astype(np.int64),
            [f"{name}[{i}]" for i in range(len(pair.images))],
        )
        for name, pair in pairs.items()
    }
    check_classes(classes, parts, files[0])
    return PictureSet(form="idx", classes=classes, parts=parts)


def read_array(file: InputFile, step: Step) -> Pixels:
    """One file's values, uint8, in the header's shape: (N,), (N, H, W) or (N, H, W, 1 or 3).

    Raises UnreadableInput where it is no such file or its size differs from its header's, InputTooLarge over a cap.
    """
    with file.path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
    on_disk = file.path.stat().st_size
    try:
        with gzip.open(file.path) if packed else file.path.open("rb") as stream:
            start = stream.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _UNSIGNED_BYTE or start[3] not in {1, 3, 4}:
                raise refused(file, f"{file.name!r} is no IDX file of bytes with 1, 3 or 4 dimensions")
            shape = struct.unpack(f">{start[3]}I", _exactly(stream.read(4 * start[3]), 4 * start[3]))
            _check_shape(shape, file)
            expected = math.prod(shape)
            header = 4 + 4 * start[3]
            if (not packed and on_disk != header + expected) or (packed and expected > on_disk * _MAX_RATIO):
                raise _lie(file, shape)
            data = bytearray()
            while len(data) <= expected and (chunk := stream.read(min(_CHUNK, expected + 1 - len(data)))):
                step()
                data += chunk
    except (EOFError, OSError, zlib.error, struct.error):
        raise refused(file, f"{file.name!r} is truncated or damaged") from None
    if len(data) != expected:
        raise _lie(file, shape)
    array = np.frombuffer(data, dtype=np.uint8).reshape(shape)
    return array[:, :, :, 0] if array.ndim == 4 and shape[3] == 1 else array


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise EOFError
    return data


def _check_shape(shape: tuple[int, ...], file: InputFile) -> None:
    sides_fit = all(1 <= side <= MAX_ARRAY_SIDE for side in shape[1:3])
    if shape[0] > MAX_PICTURES or not sides_fit or math.prod(shape) > MAX_ARRAY_BYTES:
        raise InputTooLarge(
            f"{file.name!r} says that it holds {' x '.join(map(str, shape))} values; at most {MAX_PICTURES:,} pictures "
            f"of {MAX_ARRAY_SIDE} pixels a side and {MAX_ARRAY_BYTES >> 20} MiB are read.",
            field=file.field,
            received=shape[0],
        )
    if shape[0] == 0 or (len(shape) == 4 and shape[3] not in {1, 3}):
        raise refused(file, f"{file.name!r} holds {' x '.join(map(str, shape))} values: no pictures of 1 or 3 channels")


def _lie(file: InputFile, shape: tuple[int, ...]) -> Exception:
    said = " x ".join(map(str, shape))
    return refused(file, f"{file.name!r} is not of the size that its header says ({said} values)")


def _part_of(file: InputFile) -> PartName | None:
    for word in file.name.rpartition("/")[2].lower().replace("_", "-").replace(".", "-").split("-"):
        if part := part_name(word):
            return part
    return None


def _paired(
    images: Sequence[tuple[InputFile, Pixels]], labels: Sequence[tuple[InputFile, Pixels]], first: InputFile
) -> dict[PartName, _Pair]:
    if not images or len(images) != len(labels) or len(images) > 3:
        raise refused(
            first, f"IDX files come as 1 to 3 pairs of images and labels, not {len(images)} and {len(labels)}"
        )
    pairs = [_pair(file, array, labels) for file, array in images]
    if len(pairs) == 1:
        return {"train": pairs[0]}
    if all(pair.part for pair in pairs) and len({pair.part for pair in pairs}) == len(pairs):
        return {pair.part: pair for pair in pairs if pair.part}
    if len(pairs) == 2 and len(pairs[0].images) != len(pairs[1].images):
        small, large = sorted(pairs, key=lambda pair: len(pair.images))
        return {"train": large, "test": small}
    raise refused(first, "the files' names do not say which are for training, validation and testing")


def _pair(file: InputFile, array: Pixels, labels: Sequence[tuple[InputFile, Pixels]]) -> _Pair:
    part = _part_of(file)
    alike = [a for f, a in labels if _part_of(f) == part and len(a) == len(array)]
    if len(alike) != 1:
        raise refused(file, f"there is not exactly one file of {len(array)} labels for the images of {file.name!r}")
    return _Pair(part, array, alike[0])
