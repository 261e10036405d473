"""Object detectors behind one interface, whatever library runs them.

``load(model, device)`` gives the detector of a registered model by its ``family``; it stays loaded in the process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_core.kind import ModelFiles
from saccade_models.images import Pixels

#: What stands in lists of labels where there is no class, or the background's.
_NO_CLASS = frozenset({"", "???", "N/A", "__background__"})
#: Detectors that stay loaded in a process; the one loaded first goes.
_MOST_LOADED = 4


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
    """A loaded detector; ``labels`` by class id."""

    @property
    def labels(self) -> Sequence[str]: ...

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections; pictures are (H, W, 3) uint8 BGR and may differ in size."""
        ...


def batch_size(device: str) -> int:
    """How many pictures at once detectors are fastest with: on a CPU more than one helps none of them."""
    return 32 if device.startswith("cuda") else 1


def labels_of(model: ModelFiles) -> tuple[str, ...]:
    """A detector's labels by class id, without loading it: what the registry says, else the lines of the model's file
    ``labels``, whose first is the background's."""
    if "labels" in model.facts:
        return tuple(model.facts["labels"])
    return tuple(line.strip() for line in model.files["labels"].read_text("utf-8").splitlines()[1:])


def classes_of(labels: Sequence[str]) -> Mapping[int, str]:
    """The labels by class id, without those that stand for no class."""
    return {number: label for number, label in enumerate(labels) if label not in _NO_CLASS}


_loaded: dict[tuple[str, str, str, str], Detector] = {}


def load(model: ModelFiles, device: str) -> Detector:
    """The detector of ``model`` on ``device`` (``cpu``, ``cuda:0``), loaded once in a process.

    A YOLO runs in its exported form on the CPU where OpenVINO is installed, else through torch. Raises InvalidParams
    where the model is of no detector's family.
    """
    key = (model.name, model.version, model.sha256, device)
    if key not in _loaded:
        while len(_loaded) >= _MOST_LOADED:
            del _loaded[next(iter(_loaded))]
        _loaded[key] = _new(model, device)
    return _loaded[key]


def _new(model: ModelFiles, device: str) -> Detector:
    family = model.facts.get("family")
    if family == "yolo":
        return _yolo(model, device)
    if family == "ssd_tflite":
        from saccade_models.detectors.ssd_tflite import SsdTflite

        return SsdTflite(model)
    if family == "faster_rcnn":
        from saccade_models.detectors.faster_rcnn import FasterRCNN

        return FasterRCNN(model, device)
    if family == "rcnn":
        from saccade_models.detectors.rcnn import RCNN

        return RCNN(model)
    raise InvalidParams(f"Model {model.name!r} finds no objects.", field="params.model", received=model.name)


def _yolo(model: ModelFiles, device: str) -> Detector:
    if device == "cpu" and importlib.util.find_spec("openvino"):
        from saccade_models.detectors.yolo_openvino import YoloOpenVino

        return YoloOpenVino(model)
    from saccade_models.detectors.yolo_torch import YoloTorch

    return YoloTorch(model, device)
