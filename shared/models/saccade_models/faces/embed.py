"""Face embeddings by MobileFaceNet (Chen et al., 2018) with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from saccade_core.kind import Context
from saccade_models.faces.align import SIDE
from saccade_models.images import Pixels

MODEL = "mobilefacenet"
#: From this cosine similarity on two faces are one person's. Measured with this model on photos of known people:
#: 0.60 and more for one person, 0.15 and less for two; faces under 30 px of strangers came up to 0.44.
THRESHOLD = 0.45


class Embedder:
    """The network: aligned crops in, vectors out whose dot product is the faces' cosine similarity."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = str(self._session.get_inputs()[0].name)
        self.dimensions = int(self._session.get_outputs()[0].shape[1])

    def embed(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        """(N, dimensions) rows of unit length for N crops (112, 112, 3) uint8 BGR.

        A row is the normalised sum of the crop's vector and its mirror image's, as in ArcFace's evaluation.
        """
        rows = [self._run(crop) + self._run(crop[:, ::-1]) for crop in crops]
        raw = np.asarray(rows, dtype=np.float32).reshape(-1, self.dimensions)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        return np.divide(raw, lengths, out=np.zeros_like(raw), where=lengths > 0)

    def _run(self, crop: Pixels) -> NDArray[np.float32]:
        rgb = crop[:, :, ::-1].transpose(2, 0, 1).reshape(1, 3, SIDE, SIDE)  # batches are no faster on a CPU
        values = (np.ascontiguousarray(rgb, dtype=np.float32) - 127.5) / 128.0
        return np.asarray(self._session.run(None, {self._input: values})[0], dtype=np.float32)[0]


def embedder(context: Context) -> Embedder:
    """The network, noted in the job's provenance; raises errors.ModelMissing."""
    return _load(context.model(MODEL).path)


@cache
def _load(path: Path) -> Embedder:
    return Embedder(path)
