"""What comes after the training of a YOLO: how good it is, and whether its forms agree."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from saccade_models.detectors.ultralytics_home import environment

os.environ.update(environment())
import torch
from ultralytics.models.yolo.detect import DetectionValidator

from saccade_models.detectors.yolo import fit, tensor
from saccade_models.detectors.yolo_torch import load_network
from saccade_models.images import Pixels

#: For the table of what is taken for what.
CONFUSION_IOU, CONFUSION_SCORE = 0.45, 0.25


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class that has boxes: ``precision`` and ``recall`` at the score that gives all classes the best F1."""

    class_id: int
    pictures: int
    boxes: int
    precision: float
    recall: float
    map50: float
    map50_95: float


@dataclass(frozen=True, slots=True)
class Figures:
    """``map50`` and ``map50_95`` are means over the classes that have boxes; ``confusion`` (C + 1, C + 1) counts,
    truth down and prediction across, the last of each is background."""

    map50: float
    map50_95: float
    precision: float
    recall: float
    classes: Sequence[ClassFigures]
    confusion: NDArray[np.int64]


def onnx_difference(checkpoint: Path, onnx: Path, picture: Pixels, image_size: int) -> float:
    """The largest absolute difference of the two forms' raw outputs on a picture (boxes in pixels of the network's
    input, and scores), as part of the largest output."""
    given = tensor(fit(picture, image_size))
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {session.get_inputs()[0].name: given})
    with torch.inference_mode():
        output = load_network(checkpoint).eval()(torch.from_numpy(given))[0]
    outputs = output.double().numpy()
    return float(np.abs(np.asarray(exported, dtype=np.float64) - outputs).max() / max(1.0, np.abs(outputs).max()))


def measure(
    checkpoint: Path,
    data: Path,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    device: str,
    folder: Path,
    step: Callable[[int, int], None],
) -> Figures:
    """Measure a checkpoint on a part (``train``, ``val``, ``test``) of a data set, as ultralytics' ``val`` does
    (average precision after COCO, interpolated at 101 recalls); ``step`` is told batches done and in all."""
    measuring = _Measuring(
        save_dir=folder,
        args={
            "task": "detect",
            "mode": "val",
            "model": str(checkpoint),
            "data": str(data),
            "split": split,
            "imgsz": image_size,
            "batch": batch_size,
            "device": "cpu" if device == "cpu" else device.removeprefix("cuda:"),
            "workers": 0,
            "rect": True,
            "plots": False,
            "verbose": False,
        },
    )
    measuring.add_callback("on_val_batch_end", lambda m: step(m.batch_i + 1, len(m.dataloader)))  # pyright: ignore[reportUnknownLambdaType] - ultralytics' are untyped
    measuring(model=load_network(checkpoint))
    found: Any = measuring.metrics
    return Figures(
        map50=float(found.box.map50),
        map50_95=float(found.box.map),
        precision=float(found.box.mp),
        recall=float(found.box.mr),
        classes=[
            ClassFigures(
                int(number),
                int(found.nt_per_image[number]),
                int(found.nt_per_class[number]),
                *(float(v) for v in found.class_result(place)),
            )
            for place, number in enumerate(found.ap_class_index)
        ],
        confusion=measuring.confusion_matrix.matrix.T.astype(np.int64),
    )


class _Measuring(DetectionValidator):
    """Ultralytics' measuring, which counts what is taken for what though it draws nothing."""

    confusion_matrix: Any

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        super().update_metrics(preds, batch)
        for number, found in enumerate(preds):
            truth = self._prepare_batch(number, batch)
            self.confusion_matrix.process_batch(found, truth, conf=CONFUSION_SCORE, iou_thres=CONFUSION_IOU)
