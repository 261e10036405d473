"""Object detectors behind one interface, whatever library runs them.

``load(model, device)`` gives the detector of a registered model by its ``family``; it stays loaded in the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saccade_models.images import Pixels


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one picture, best first.

    ``boxes`` (N, 4) float32 ``x1, y1, x2, y2`` in pixels of the picture, inside of it; ``scores`` (N,) float32 0..1;
    ``class_ids`` (N,) int64, indices into the detector's ``labels``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as found: at least ``min_score``; of boxes of one class that overlap by more than ``iou`` only the
    best; ``class_ids`` None: all classes."""

    min_score: float = 0.25
    iou: float = 0.45
    class_ids: frozenset[int] | None = None


class Detector(Protocol):
    """A loaded detector. ``labels`` by class id; ``batch`` is how many pictures at once it is fastest with."""

    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def batch(self) -> int: ...

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections; pictures are (H, W, 3) uint8 BGR and may differ in size."""
        ...
