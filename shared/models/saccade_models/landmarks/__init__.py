"""Landmarks of faces, hands and bodies by MediaPipe Tasks, behind one interface.

``load(what, path, settings)`` gives a landmarker; it stays loaded in the process.

Left and right are the person's own, in a picture that is not mirrored: a selfie saved as in a mirror shows a left hand
where the person raised the right one. Checked with MediaPipe 1.2.2 on photos with readable writing (its versions
before the Tasks took every picture for mirrored).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from saccade_models.images import Pixels

#: What is looked for; ``holistic`` is one person's face, pose and hands.
What: TypeAlias = Literal["face_mesh", "hands", "pose", "holistic"]
#: What one subject is: 478, 21 or 33 points.
Kind: TypeAlias = Literal["face_mesh", "hand", "pose"]
Handedness: TypeAlias = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Settings:
    """``max_subjects`` faces, hands or bodies at most (holistic: always one person); ``min_score`` 0..1 is what
    both detection and landmarks must reach; ``blendshapes`` of faces or not."""

    max_subjects: int = 5
    min_score: float = 0.5
    blendshapes: bool = True


@dataclass(frozen=True, slots=True)
class Subject:
    """One face, hand or body.

    ``points`` (N, 3) float64: x and y in pixels of the picture (perhaps outside of it), z in the same scale, negative
    towards the camera, from the face's centre, the wrist or the middle of the hips. ``score`` 0..1 is the certainty of
    ``handedness`` or the mean presence of a pose's points; None where MediaPipe gives none. ``visibility`` (N,)
    float64 0..1 is of poses; ``blendshapes`` by name, 0..1, of faces.
    """

    what: Kind
    points: NDArray[np.float64]
    score: float | None = None
    handedness: Handedness | None = None
    visibility: NDArray[np.float64] | None = None
    blendshapes: Mapping[str, float] = field(default_factory=dict[str, float])


class Landmarker(Protocol):
    """A loaded landmarker."""

    def find(self, picture: Pixels) -> list[Subject]:
        """The subjects in a picture (H, W, 3) uint8 BGR, in MediaPipe's order; raises errors.EngineFailed."""
        ...


def load(what: What, path: Path, settings: Settings) -> Landmarker:
    """The landmarker with the weights in ``path``."""
    from saccade_models.landmarks import tasks  # imports MediaPipe

    return tasks.load(what, path, settings)
