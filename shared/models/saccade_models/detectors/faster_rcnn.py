"""Faster R-CNN (Ren, He, Girshick, Sun, NeurIPS 2015) by torchvision, for the torch pool.

The registry's facts say which network (``architecture``) and what it knows (``labels``, as torchvision lists them:
``__background__`` first, so that class ids are the network's own). Nothing is ever downloaded here: the weights are
a state dict on this machine, loaded without running code from it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection

from saccade_core.errors import InvalidParams
from saccade_core.kind import ModelFiles
from saccade_models.detectors import Detections, Thresholds
from saccade_models.images import Pixels

#: torchvision's builders by the names it gives them.
ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": detection.fasterrcnn_mobilenet_v3_large_320_fpn,
    "fasterrcnn_resnet50_fpn_v2": detection.fasterrcnn_resnet50_fpn_v2,
}
#: Detections of one picture, and pictures at once on CUDA.
MAX_DETECTIONS, CUDA_BATCH = 300, 8


class FasterRCNN:
    """A loaded Faster R-CNN; see ``detectors.Detector``. Raises InvalidParams where the weights do not fit it."""

    def __init__(self, model: ModelFiles, device: str) -> None:
        self.labels: Sequence[str] = tuple(model.facts["labels"])
        self._batch = CUDA_BATCH if device.startswith("cuda") else 1
        self._device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)  # several processes side by side are faster than one with many threads
        self._network: Any = build(model.facts["architecture"], len(self.labels))
        self._network.roi_heads.detections_per_img = MAX_DETECTIONS
        _load(self._network, model)
        self._network.to(self._device).eval()

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> list[Detections]:
        """Each picture's detections, at most ``MAX_DETECTIONS``; pictures are (H, W, 3) uint8 BGR of any sizes."""
        heads = self._network.roi_heads
        heads.score_thresh, heads.nms_thresh = thresholds.min_score, thresholds.iou
        found: list[Detections] = []
        for start in range(0, len(pictures), self._batch):
            some = [self._tensor(picture) for picture in pictures[start : start + self._batch]]
            found += [_detections(each, thresholds) for each in self._network(some)]
        return found

    def _tensor(self, picture: Pixels) -> Tensor:
        """(3, H, W) float32 RGB, 0..1, as torchvision's networks take it."""
        rgb = torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1])).to(self._device)
        return rgb.permute(2, 0, 1).float() / 255


def build(architecture: str, classes: int) -> nn.Module:
    """An untrained network for ``classes`` with background; raises InvalidParams where it is not one of ours."""
    if architecture not in ARCHITECTURES:
        raise InvalidParams(
            f"There is no Faster R-CNN {architecture!r}; there are: {', '.join(ARCHITECTURES)}.",
            field="params.model",
            received=architecture,
        )
    return ARCHITECTURES[architecture](weights=None, weights_backbone=None, num_classes=classes)


def _load(network: nn.Module, model: ModelFiles) -> None:
    """Fill the network from the state dict; weights of frozen batch norms lack the count of batches, unused here."""
    try:
        state = torch.load(model.path, map_location="cpu", weights_only=True)
        missing, strange = network.load_state_dict(state, strict=False)
    except (pickle.UnpicklingError, RuntimeError, TypeError, AttributeError, EOFError):
        raise _unfit(model) from None
    if strange or any(not name.endswith("num_batches_tracked") for name in missing):
        raise _unfit(model)


def _unfit(model: ModelFiles) -> InvalidParams:
    return InvalidParams(
        f"The weights of {model.name}@{model.version} are no state dict of {model.facts['architecture']} with "
        f"{len(model.facts['labels'])} classes.",
        field="params.model",
        received=model.name,
    )


def _detections(found: Mapping[str, Tensor], thresholds: Thresholds) -> Detections:
    """What the network gives of one picture: pixels of that picture, clipped, best first."""
    class_ids = found["labels"].cpu().numpy().astype(np.int64)
    kept = np.ones(len(class_ids), dtype=np.bool_)
    if thresholds.class_ids is not None:
        kept = np.isin(class_ids, list(thresholds.class_ids))
    return Detections(
        boxes=found["boxes"].cpu().numpy().astype(np.float32)[kept],
        scores=found["scores"].cpu().numpy().astype(np.float32)[kept],
        class_ids=class_ids[kept],
    )
