"""From a picture to its faces' embeddings: YuNet finds them, they are aligned, MobileFaceNet measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade_core.kind import Context
from saccade_models.faces import MODELS, Face, FaceDetector, detector
from saccade_models.faces.align import aligned
from saccade_models.faces.embed import MODEL, Embedder, embedder
from saccade_models.images import Pixels

#: Registered weights that recognition needs.
NEEDED = (MODELS["yunet"], MODEL)


@dataclass(frozen=True, slots=True)
class MeasuredFace:
    """A face, its aligned crop (112, 112, 3) uint8 BGR, and its embedding (D,) float32 of unit length."""

    face: Face
    crop: Pixels
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recognition:
    """Detector and network, loaded."""

    finder: FaceDetector
    network: Embedder

    @classmethod
    def load(cls, context: Context) -> Recognition:
        """Both, noted in the job's provenance; raises errors.ModelMissing."""
        return cls(detector("yunet", context), embedder(context))

    def measured(self, picture: Pixels, faces: Sequence[Face]) -> list[MeasuredFace]:
        """``faces`` that were found in a BGR picture, with crops and embeddings."""
        crops = [aligned(picture, face.landmarks) for face in faces]
        rows = self.network.embed(crops)
        return [MeasuredFace(face, crop, row) for face, crop, row in zip(faces, crops, rows, strict=True)]

    def faces(self, picture: Pixels) -> list[MeasuredFace]:
        """Every face of a BGR picture, best first."""
        return self.measured(picture, self.finder.detect(picture))
