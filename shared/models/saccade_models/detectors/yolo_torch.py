"""YOLO by ultralytics on torch: the ``.pt`` weights, in batches and half precision on CUDA."""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import PIL.Image

from saccade_core.errors import UntrustedModel
from saccade_core.kind import ModelFiles
from saccade_models.boxes import Floats
from saccade_models.detectors import Detections, Thresholds, batch_size, labels_of
from saccade_models.detectors.ultralytics_home import environment
from saccade_models.detectors.yolo import MAX_DETECTIONS, Fitted, fit
from saccade_models.images import Pixels

os.environ.update(environment())
import torch
from ultralytics.nn.tasks import DetectionModel, load_checkpoint
from ultralytics.utils import patches
from ultralytics.utils.nms import non_max_suppression

# ultralytics puts an Image.open of its own in Pillow's place, which installs packages for files that it cannot read.
PIL.Image.open = vars(patches)["_image_open"]

# Where torchvision is loaded, ultralytics suppresses boxes with it, which is faster.
import_module("torchvision")


# What torch and ultralytics raise on bytes that are no checkpoint, or one that names anything but networks' classes.
_NO_CHECKPOINT = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    EOFError,
    ImportError,
    OSError,
    pickle.UnpicklingError,
)


def load_network(path: Path) -> DetectionModel:
    """The network of a checkpoint, float32 on the CPU, not fused. Nothing in the file is executed: of classes only
    those of networks are made. Raises UntrustedModel where it has anything else, or is no detector's checkpoint."""
    try:
        network, _ = load_checkpoint(str(path), device=torch.device("cpu"))
    except _NO_CHECKPOINT:
        network = None
    if not isinstance(network, DetectionModel):
        raise UntrustedModel(
            f"{path.name} is not loaded: it is no checkpoint of a YOLO detector, or it holds code.", received=path.name
        )
    return network


class YoloTorch:
    """A loaded YOLO; see ``detectors.Detector``."""

    def __init__(self, model: ModelFiles, device: str) -> None:
        self.labels: Sequence[str] = labels_of(model)
        self._batch = batch_size(device)
        self._side = int(model.facts["input_size"])
        self._device = torch.device(device)
        self._number = torch.float16 if device.startswith("cuda") else torch.float32
        if device == "cpu":
            torch.set_num_threads(1)  # several processes side by side are faster than one with many threads
        self._network = load_network(model.path).fuse(verbose=False).to(self._device, self._number).eval()

    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections, at most 300; pictures are (H, W, 3) uint8 BGR and may differ in size."""
        fitted = [fit(picture, self._side) for picture in pictures]
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, each in enumerate(fitted):
            by_shape[each.pixels.shape].append(index)
        found: dict[int, Detections] = {}
        for indices in by_shape.values():
            for start in range(0, len(indices), self._batch):
                some = indices[start : start + self._batch]
                rows = self._rows([fitted[i] for i in some], thresholds)
                found |= {i: _detections(each, fitted[i]) for i, each in zip(some, rows, strict=True)}
        return [found[index] for index in range(len(pictures))]

    @torch.inference_mode()
    def _rows(self, fitted: Sequence[Fitted], thresholds: Thresholds) -> list[Floats]:
        """Of each picture (all of one shape) what is kept, (N, 6): x1, y1, x2, y2, score, class."""
        pixels = torch.from_numpy(np.stack([each.pixels for each in fitted])).to(self._device)
        tensor = pixels.permute(0, 3, 1, 2).flip(1).to(self._number) / 255
        kept = non_max_suppression(
            self._network(tensor)[0].float(),  # its shifts of boxes by class are too large for half precision
            thresholds.min_score,
            thresholds.iou,
            classes=None if thresholds.class_ids is None else sorted(thresholds.class_ids),
            max_det=MAX_DETECTIONS,
            max_time_img=60.0,  # else it stops with results missing
        )
        return [each.double().cpu().numpy() for each in cast("list[torch.Tensor]", kept)]


def _detections(rows: Floats, fitted: Fitted) -> Detections:
    return Detections(
        boxes=fitted.to_source(rows[:, :4]).astype(np.float32),
        scores=rows[:, 4].clip(0, 1).astype(np.float32),
        class_ids=rows[:, 5].astype(np.int64),
    )
