"""Trains the network of ``rcnn`` on a data set in YOLO layout and writes it as ONNX.

    python -m saccade_models.detectors.rcnn_training DATASET NAMES OUT.onnx

``DATASET`` holds ``train/images`` and ``train/labels``; ``NAMES`` are the classes' names, joined by commas, in the
order of their numbers. ``rcnn_bccd.onnx`` beside this module came from this on the 120 training pictures of BCCD
(github.com/Shenggan/BCCD_Dataset, MIT): RBC,WBC,Platelets. With one seed and one thread two runs give the same.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from saccade_models.boxes import Floats, clip, iou_matrix, yolo_to_xyxy
from saccade_models.detectors.box_refinement import encode
from saccade_models.detectors.proposals import propose
from saccade_models.detectors.rcnn import SEARCH, crops
from saccade_models.images import Pixels

LOG = logging.getLogger(__name__)

SIDE, EPOCHS, BATCH, SEED = 32, 8, 128, 7
#: A proposal is of a class from this overlap with its box on; with less it is background (R-CNN's 0.5).
POSITIVE_IOU = 0.5
#: From each picture: background crops at most, and shifted copies of each true box.
BACKGROUND, SHIFTED = 200, 6
#: Targets are divided by these, so that all are learnt alike; the network multiplies them back.
TARGET_SCALE = (0.1, 0.1, 0.2, 0.2)


@dataclass(frozen=True, slots=True)
class Examples:
    """``crops`` (N, S, S, 3) uint8 BGR, ``classes`` (N,) with background last, ``targets`` (N, 4)."""

    crops: Pixels
    classes: NDArray[np.int64]
    targets: Floats


class Network(nn.Module):
    """Crops (N, S, S, 3) uint8 BGR -> class scores (N, C + 1), background last, and refinements (N, C, 4)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        widths = (3, 24, 48, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        small = SIDE // 2 ** (len(widths) - 1)
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * small * small, 72), nn.ReLU())
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(72, classes + 1)
        self.refine = nn.Linear(72, 4 * classes)
        self.register_buffer("target_scale", torch.tensor(TARGET_SCALE))

    def raw(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and refinements in units of ``TARGET_SCALE``."""
        seen = self.dropout(self.features(pixels.permute(0, 3, 1, 2).float() / 128 - 1))
        return self.classify(seen), self.refine(seen).reshape(-1, self.classes, 4)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits, targets = self.raw(pixels)
        return logits.softmax(dim=1), targets * self.get_buffer("target_scale")


def examples(folder: Path, classes: int, generator: np.random.Generator) -> Examples:
    """Crops of the proposals in all pictures of ``folder``, of the true boxes, and of those a little shifted."""
    parts = [_examples_of(file, classes, generator) for file in sorted((folder / "images").iterdir())]
    return Examples(
        np.concatenate([p.crops for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.targets for p in parts]),
    )


def _examples_of(file: Path, classes: int, generator: np.random.Generator) -> Examples:
    picture = cv2.imread(str(file))
    if picture is None:
        raise ValueError(f"{file.name} is no picture.")
    pixels = picture.astype(np.uint8)
    height, width = pixels.shape[:2]
    lines = np.loadtxt(file.parents[1] / "labels" / f"{file.stem}.txt", ndmin=2).reshape(-1, 5)
    truths = clip(yolo_to_xyxy(lines[:, 1:], width, height), width, height)
    boxes = np.concatenate([propose(pixels, SEARCH), truths, clip(_shifted(truths, generator), width, height)])
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 4]
    overlaps = iou_matrix(boxes, truths)
    nearest, positive = overlaps.argmax(axis=1), overlaps.max(axis=1) >= POSITIVE_IOU
    chosen = np.flatnonzero(positive)
    others = np.flatnonzero(~positive)
    chosen = np.concatenate([chosen, generator.permutation(others)[:BACKGROUND]])
    kinds = np.where(positive, lines[nearest, 0].astype(np.int64), classes)
    targets = np.where(positive[:, None], encode(boxes, truths[nearest]), 0.0)
    return Examples(crops(pixels, boxes[chosen], SIDE), kinds[chosen], targets[chosen])


def _shifted(truths: Floats, generator: np.random.Generator) -> Floats:
    copies = np.repeat(truths, SHIFTED, axis=0)
    sides = np.tile(copies[:, 2:] - copies[:, :2], 2)
    return copies + sides * generator.uniform(-0.2, 0.2, copies.shape)


def _turned(crops_: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The batch flipped and transposed at random (cells have no upside), with the targets that go with it."""
    across, down, swap = (bool(torch.rand(()) < 0.5) for _ in range(3))
    signs = torch.tensor([-1.0 if across else 1.0, -1.0 if down else 1.0, 1.0, 1.0])
    flipped = crops_.flip([axis for axis, on in ((2, across), (1, down)) if on])
    targets = targets * signs
    return (flipped.transpose(1, 2), targets[:, [1, 0, 3, 2]]) if swap else (flipped, targets)


def _batches(found: Examples) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    order = torch.randperm(len(found.classes))
    pixels, kinds = torch.from_numpy(found.crops), torch.from_numpy(found.classes)
    targets = torch.from_numpy(found.targets).float()
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        turned, moves = _turned(pixels[rows].float(), targets[rows])
        light = 1 + 0.15 * torch.randn(len(rows), 1, 1, 1)
        tint = 8 * torch.randn(len(rows), 1, 1, 3)
        yield (turned * light + tint).clamp(0, 255), kinds[rows], moves


def train(found: Examples, classes: int, epochs: int = EPOCHS, seed: int = SEED) -> Network:
    """The trained network: cross-entropy of classes plus smooth L1 of the true class's refinement."""
    torch.manual_seed(seed)
    network = Network(classes)
    steps = epochs * (len(found.classes) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    scale = torch.tensor(TARGET_SCALE)
    for epoch in range(epochs):
        losses: list[float] = []
        for pixels, kinds, targets in _batches(found):
            logits, refined = network.raw(pixels)
            rows = torch.nonzero(kinds < classes).squeeze(1)
            loss = functional.cross_entropy(logits, kinds) + functional.smooth_l1_loss(
                refined[rows, kinds[rows]], targets[rows] / scale
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        LOG.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, float(np.mean(losses)))
    return network.eval()


def export(network: Network, out: Path) -> None:
    """Write the network as ONNX: ``crops`` (N, S, S, 3) uint8 -> ``scores``, ``refinements``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one more package
        torch.onnx.export(
            network,
            (torch.zeros((2, SIDE, SIDE, 3), dtype=torch.uint8),),
            str(out),
            input_names=["crops"],
            output_names=["scores", "refinements"],
            dynamic_axes={name: {0: "n"} for name in ("crops", "scores", "refinements")},
            opset_version=17,
            dynamo=False,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network of R-CNN on a data set in YOLO layout.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("names", help="the classes' names, joined by commas")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    classes = len(arguments.names.split(","))
    found = examples(arguments.dataset / "train", classes, np.random.default_rng(SEED))
    LOG.info("%d crops, by class %s", len(found.classes), np.bincount(found.classes).tolist())
    export(train(found, classes), arguments.out)
    LOG.info("%s: %d bytes", arguments.out.name, arguments.out.stat().st_size)


if __name__ == "__main__":
    main()
