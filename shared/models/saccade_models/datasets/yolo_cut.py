"""The parts that a YOLO data set does not have, cut off from its training part."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saccade_core.errors import InputError
from saccade_core.kind import InputFile
from saccade_models.archives import Archive
from saccade_models.datasets.yolo_layout import Layout


@dataclass(frozen=True, slots=True)
class Split:
    """How to cut off the parts that a data set does not have: shares of its pictures, and the seed of the draw."""

    valid: float = 0.2
    test: float = 0.1
    seed: int = 0


def cut_parts(archive: Archive, layout: Layout, split: Split, file: InputFile, check: Callable[[], None]) -> list[str]:
    """Cut off in place the parts that are missing; gives their names.

    Pictures that are the same byte for byte stay together, so that none is measured on that was learnt.
    ``check`` is called at each picture (to cancel). Raises InputError where there are too few pictures.
    """
    if "valid" in layout.parts:
        return []
    pictures = list(layout.parts["train"])
    random.Random(split.seed).shuffle(pictures)  # noqa: S311 - a draw that is to be the same again, no secret
    groups = _groups(archive, pictures, check)
    missing = {"valid": split.valid, **({} if "test" in layout.parts else {"test": split.test})}
    if len(groups) <= len(missing):
        raise InputError(
            f"The data set cannot be used: its {len(groups)} different pictures are too few to be split in train and "
            "valid.",
            field=file.field,
            received=len(groups),
        )
    cut: list[str] = []
    for part, share in missing.items():
        count = max(1, round(share * len(pictures))) if part == "valid" or share > 0 else 0
        if count and len(groups) > 1:
            chosen = _chosen(groups, count)
            layout.parts[part] = sorted(name for number in chosen for name in groups[number])
            groups = [group for number, group in enumerate(groups) if number not in chosen]
            cut.append(part)
    layout.parts["train"] = sorted(name for group in groups for name in group)
    return cut


def _groups(archive: Archive, pictures: Sequence[str], check: Callable[[], None]) -> list[list[str]]:
    """Pictures that are the same together, in the order of the first of each; only those of one size are read."""
    sizes = Counter(map(archive.size, pictures))
    groups: dict[str, list[str]] = {}
    for name in pictures:
        check()
        size = archive.size(name)
        key = hashlib.sha256(archive.read(name, size)).hexdigest() if sizes[size] > 1 else name
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _chosen(groups: Sequence[Sequence[str]], count: int) -> set[int]:
    """Places of the first groups that have no more than ``count`` pictures together; of the smallest if none fits.

    Never all of them: one is left to learn from.
    """
    chosen: set[int] = set()
    left = count
    for number, group in enumerate(groups):
        if len(group) <= left and len(chosen) < len(groups) - 1:
            chosen.add(number)
            left -= len(group)
    return chosen or {min(range(len(groups)), key=lambda number: len(groups[number]))}
