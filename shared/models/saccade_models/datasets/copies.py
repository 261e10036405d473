"""Pictures that are in a data set more than once: byte for byte the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saccade_models.datasets.picture_set import PartName, PicturePart, Step


@dataclass(frozen=True, slots=True)
class Copies:
    """Groups of the same picture, by the names of its places, the first place first.

    ``repeated``: within one part and class; ``contradicting``: in more than one class; ``leaking``: in more than one
    part (a model is then measured on what it has learnt by heart). A group can be in the last two at once.
    """

    repeated: Sequence[Sequence[str]]
    contradicting: Sequence[Sequence[str]]
    leaking: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Place:
    part: PartName
    label: int
    name: str


def digests(part: PicturePart, step: Step) -> list[bytes]:
    """The sha256 of each picture: of its file's bytes, or of its values."""
    found: list[bytes] = []
    for number in range(len(part)):
        if number % 32 == 0:
            step()
        if isinstance(part.source, np.ndarray):
            found.append(hashlib.sha256(part.source[number].tobytes()).digest())
        else:
            found.append(hashlib.sha256(part.source[number].path.read_bytes()).digest())
    return found


def find_copies(parts: Mapping[PartName, PicturePart], known: Mapping[PartName, Sequence[bytes]]) -> Copies:
    """Which pictures of ``parts`` are the same; ``known`` are their ``digests``."""
    places: dict[bytes, list[_Place]] = {}
    for name, part in parts.items():
        for digest, label, picture in zip(known[name], part.labels.tolist(), part.names, strict=True):
            places.setdefault(digest, []).append(_Place(name, label, picture))
    repeated: list[list[str]] = []
    contradicting: list[list[str]] = []
    leaking: list[list[str]] = []
    for group in (group for group in places.values() if len(group) > 1):
        names = [place.name for place in group]
        classes, where = {place.label for place in group}, {place.part for place in group}
        if len(classes) > 1:
            contradicting.append(names)
        if len(where) > 1:
            leaking.append(names)
        if len(classes) == 1 and len(where) == 1:
            repeated.append(names)
    return Copies(repeated, contradicting, leaking)


def without_copies(part: PicturePart, known: Sequence[bytes]) -> PicturePart:
    """``part`` with each picture once, and without those that are in more than one class."""
    labels: dict[bytes, set[int]] = {}
    first: dict[bytes, int] = {}
    for number, (digest, label) in enumerate(zip(known, part.labels.tolist(), strict=True)):
        labels.setdefault(digest, set()).add(label)
        first.setdefault(digest, number)
    return part.taken([number for digest, number in first.items() if len(labels[digest]) == 1])
