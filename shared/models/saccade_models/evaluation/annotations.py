"""Boxes of many pictures, as files of truths and of predictions hold them, in one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]

#: More in one file are refused; the last is boxes of one picture, of which all pairs are compared.
MAX_BOXES = 1_000_000
MAX_IMAGES = 1_000_000
MAX_CLASSES = 5_000
MAX_BOXES_OF_A_PICTURE = 5_000


@dataclass(frozen=True, slots=True)
class Annotations:
    """N boxes of labelled things.

    ``labels`` are the classes' names and ``images`` the pictures' (their file names without folder and ending);
    ``image`` (N,) and ``class_id`` (N,) int64 point into them. ``boxes`` (N, 4) float64 are ``x, y, width, height``,
    in pixels or, where ``normalised``, in shares of the picture's sides. ``crowd`` (N,) bool marks boxes around
    many things of a class; ``scores`` (N,) float64 0..1 are None for truths. Of one picture, boxes are in the order
    of the file.
    """

    labels: Sequence[str]
    images: Sequence[str]
    image: Indices
    class_id: Indices
    boxes: Floats
    crowd: NDArray[np.bool_]
    scores: Floats | None = None
    normalised: bool = False

    def __len__(self) -> int:
        return len(self.image)

    def of_class(self, class_id: int) -> Annotations:
        """Only the boxes of one class."""
        return self.taken(np.flatnonzero(self.class_id == class_id))

    def taken(self, rows: Indices) -> Annotations:
        """Only the boxes at ``rows``."""
        return Annotations(
            self.labels,
            self.images,
            self.image[rows],
            self.class_id[rows],
            self.boxes[rows],
            self.crowd[rows],
            None if self.scores is None else self.scores[rows],
            self.normalised,
        )


def build(
    labels: Sequence[str],
    images: Sequence[str],
    rows: Sequence[tuple[int, int, tuple[float, float, float, float], bool]],
    scores: Sequence[float] | None,
    *,
    normalised: bool,
) -> Annotations:
    """Annotations of ``rows``: image, class, box and crowd of each."""
    return Annotations(
        labels=labels,
        images=images,
        image=np.array([r[0] for r in rows], dtype=np.int64),
        class_id=np.array([r[1] for r in rows], dtype=np.int64),
        boxes=np.array([r[2] for r in rows], dtype=np.float64).reshape(-1, 4),
        crowd=np.array([r[3] for r in rows], dtype=np.bool_),
        scores=None if scores is None else np.array(scores, dtype=np.float64),
        normalised=normalised,
    )
