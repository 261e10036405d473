"""Faster R-CNN on weights of our own: torchvision's pretrained ones are not at hand here, so a network is trained on
drawn shapes for a few steps, saved, and loaded as a registered model would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saccade_core.errors import InvalidParams
from saccade_core.kind import ModelFiles
from saccade_models.boxes import Floats, iou_matrix
from saccade_models.detectors import Thresholds, load
from saccade_models.detectors.faster_rcnn import build
from saccade_models.images import Pixels

LABELS = ("__background__", "disc", "block")
SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
CELL, STEPS = 96, 100


def scene(generator: np.random.Generator, cells: int = 2) -> tuple[Pixels, Floats, list[int]]:
    """A shape in most of ``cells`` x ``cells`` places of 96 pixels, on a dull ground: orange discs (1) and blue blocks
    (2), BGR; their boxes."""
    picture = generator.integers(90, 140, (cells * CELL, cells * CELL, 3), dtype=np.uint8)
    boxes: list[list[int]] = []
    kinds: list[int] = []
    for cell in generator.permutation(cells**2)[: max(1, cells**2 - 1)].tolist():
        size = int(generator.integers(44, 80))
        x, y = (int(corner * CELL + generator.integers(4, 92 - size)) for corner in divmod(cell, cells))
        kind = int(generator.integers(1, 3))
        if kind == 1:
            cv2.ellipse(picture, (x + size // 2, y + size // 2), (size // 2, size // 2), 0, 0, 360, (20, 120, 240), -1)
        else:
            cv2.rectangle(picture, (x, y), (x + size - 1, y + size - 1), (220, 60, 30), -1)
        boxes.append([x, y, x + size, y + size])
        kinds.append(kind)
    return picture, np.array(boxes, dtype=np.float64), kinds


def model(folder: Path, state: dict[str, Tensor], architecture: str = SMALL) -> ModelFiles:
    torch.save(state, folder / "weights.pth")
    facts = {"family": "faster_rcnn", "architecture": architecture, "labels": list(LABELS)}
    return ModelFiles(f"shapes-{folder.name}", "1", "0" * 64, {"weights": folder / "weights.pth"}, facts)


def tensors(picture: Pixels, boxes: Floats, kinds: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
    rgb = torch.from_numpy(np.ascontiguousarray(picture[:, :, ::-1])).permute(2, 0, 1).float() / 255
    return rgb, {"boxes": torch.from_numpy(boxes).float(), "labels": torch.tensor(kinds)}


def trained(generator: np.random.Generator) -> nn.Module:
    """A network that has seen some hundred shapes, one in a small picture, at the scale that it is used at."""
    network: Any = build(SMALL, len(LABELS)).train()
    network.transform.min_size = (CELL * 320 // (2 * CELL),)
    network.roi_heads.fg_bg_sampler.batch_size_per_image = 32  # 512 take minutes
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
    for _ in range(STEPS):
        pairs = [tensors(*scene(generator, cells=1)) for _ in range(4)]
        losses: dict[str, Tensor] = network([p for p, _ in pairs], [t for _, t in pairs])
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        schedule.step()
    return network


@pytest.mark.stack
@pytest.mark.timeout(900)  # a minute of one core, and more beside busy neighbours
def test_a_trained_network_finds_shapes_it_has_not_seen(tmp_path: Path) -> None:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    generator = np.random.default_rng(3)
    network = trained(generator)
    detector = load(model(tmp_path, network.state_dict()), "cpu")
    found = wanted = 0
    for _ in range(10):
        picture, boxes, kinds = scene(generator)
        picture = cv2.copyMakeBorder(picture, 0, 20, 0, 40, cv2.BORDER_REPLICATE).astype(np.uint8)
        seen = detector.detect([picture], Thresholds(min_score=0.3))[0]
        assert (np.diff(seen.scores) <= 0).all()
        assert (seen.boxes >= 0).all() and (seen.boxes <= [2 * CELL + 40, 2 * CELL + 20] * 2).all()
        overlaps = iou_matrix(boxes, seen.boxes)
        same = np.equal.outer(np.array(kinds), seen.class_ids)
        found += int(((overlaps > 0.5) & same).any(axis=1).sum())
        wanted += len(kinds)
        only = detector.detect([picture], Thresholds(min_score=0.3, class_ids=frozenset({2})))[0]
        assert set(only.class_ids.tolist()) <= {2}
    assert detector.labels == LABELS
    assert found >= 0.7 * wanted, f"{found} of {wanted}"


def test_weights_of_a_frozen_network_load_and_others_are_refused(tmp_path: Path) -> None:
    """Official state dicts come from frozen batch norms, which count no batches."""
    torch.manual_seed(1)
    state = build(SMALL, len(LABELS)).state_dict()
    frozen = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(frozen) < len(state)
    detector = load(model(tmp_path, frozen), "cpu")
    picture = scene(np.random.default_rng(1))[0]
    one, other = detector.detect([picture, picture[:100]], Thresholds(min_score=0.0))
    again = detector.detect([picture], Thresholds(min_score=0.0))[0]
    assert len(one.boxes) and np.array_equal(one.boxes, again.boxes)
    assert (other.boxes[:, 3] <= 100).all()
    for number, wrong in enumerate(({}, {**frozen, "more": torch.zeros(1)})):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(InvalidParams, match="no state dict of"):
            load(model(tmp_path / str(number), wrong), "cpu")
    with pytest.raises(InvalidParams, match="There is no Faster R-CNN"):
        load(model(tmp_path / "1", frozen, "another"), "cpu")


def test_weights_that_are_code_are_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "was-here",))  # pyright: ignore[reportReturnType] - what an attacker writes

    files = model(tmp_path, {})
    torch.save({"a": Evil()}, files.path)
    with pytest.raises(InvalidParams, match="no state dict of"):
        load(files, "cpu")
    assert not (tmp_path / "was-here").exists()
