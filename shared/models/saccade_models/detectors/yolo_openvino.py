"""YOLO on the CPU: the exported ONNX form, run by OpenVINO in one thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

# Telemetry would ask the network for a server; the package reads this when it is imported.
os.environ.setdefault("OPENVINO_TELEMETRY", "0")
import openvino

from saccade_core.kind import ModelFiles
from saccade_models.detectors import Detections, Thresholds, labels_of
from saccade_models.detectors.yolo import fit, read_output, tensor
from saccade_models.images import Pixels

# One thread in each of several processes is faster than several threads in one; pinned to a core, two processes
# would share it. f32: what was measured, on processors with bfloat16 too.
_CONFIG = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
cv2.setNumThreads(1)


class YoloOpenVino:
    """A loaded YOLO; see ``detectors.Detector``. Its exported form takes pictures of any size."""

    def __init__(self, model: ModelFiles) -> None:
        self.labels: Sequence[str] = labels_of(model)
        compiled = _core().compile_model(str(model.files["onnx"]), "CPU", _CONFIG)
        self._side = int(model.facts["input_size"])
        self._request = compiled.create_infer_request()

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections, at most 300; pictures are (H, W, 3) uint8 BGR and may differ in size."""
        return [self._detect(picture, thresholds) for picture in pictures]

    def _detect(self, picture: Pixels, thresholds: Thresholds) -> Detections:
        fitted = fit(picture, self._side)
        # The output is the request's own memory, valid until its next run: it is read before that.
        output = self._request.infer([tensor(fitted)], share_inputs=True, share_outputs=True)[0]
        return read_output(np.asarray(output, dtype=np.float32)[0], fitted, thresholds)


@cache
def _core() -> openvino.Core:
    return openvino.Core()
