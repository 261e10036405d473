from __future__ import annotations

import cv2
import numpy as np
import pytest

from saccade_models.boxes import Floats, iou_matrix
from saccade_models.detectors.proposals import Search, group, propose, segment
from saccade_models.images import Pixels


def shapes(seed: int, side: int = 180) -> tuple[Pixels, Floats]:
    """Five noisy discs and blocks, apart, on a noisy ground, and their boxes."""
    generator = np.random.default_rng(seed)
    picture = np.full((side, side, 3), generator.integers(60, 200, 3), dtype=np.int64)
    cells = generator.permutation(9)[:5].tolist()
    boxes: list[list[int]] = []
    for cell in cells:
        size = int(generator.integers(22, 45))
        x, y = (int(corner * side / 3 + generator.integers(5, side // 3 - size - 5)) for corner in divmod(cell, 3))
        color = (picture[0, 0] + generator.choice([-1, 1], 3) * generator.integers(40, 60, 3)) % 256
        canvas = picture.astype(np.uint8)
        if generator.random() < 0.5:
            cv2.circle(canvas, (x + size // 2, y + size // 2), size // 2, color.tolist(), -1)
        else:
            cv2.rectangle(canvas, (x, y), (x + size - 1, y + size - 1), color.tolist(), -1)
        picture = canvas.astype(np.int64)
        boxes.append([x, y, x + size, y + size])
    noisy = (picture + generator.normal(0, 4, picture.shape)).clip(0, 255)
    return noisy.astype(np.uint8), np.array(boxes, dtype=np.float64)


def test_nearly_every_shape_is_proposed() -> None:
    best = np.concatenate([iou_matrix(truth, propose(picture)).max(axis=1) for picture, truth in map(shapes, range(4))])
    assert len(best) == 20
    assert (best > 0.7).mean() >= 0.95
    assert best.mean() > 0.8


def test_segments_of_flat_colours_are_those_colours() -> None:
    picture = np.full((30, 40, 3), 50, np.uint8)
    picture[:, 20:] = 200
    picture[5:15, 5:15] = 120
    labels = segment(picture, 50, 10)
    assert len({labels[0, 0], labels[10, 10], labels[10, 30]}) == 3
    assert (labels[8:12, 8:12] == labels[10, 10]).all()
    boxes = group(labels, picture)
    assert len(boxes) == 2 * (labels.max() + 1) - 1  # each region, and each merge of two
    assert boxes[-1] == (0, 0, 40, 30)
    truth = [[5, 5, 15, 15], [20, 0, 40, 30]]
    assert iou_matrix(truth, boxes).max(axis=1).min() > 0.6  # the blur makes a seam of its own


def test_small_specks_join_a_neighbour() -> None:
    picture = np.full((30, 30, 3), 50, np.uint8)
    picture[10, 10] = 255
    assert segment(picture, 1, 10).max() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (7, 5)])
def test_any_size_and_flat_pictures_are_searched(size: tuple[int, int]) -> None:
    boxes = propose(np.full((*size, 3), 90, np.uint8), Search(min_side=1))
    assert boxes.tolist() == [[0, 0, size[1], size[0]]]


def test_proposals_are_inside_distinct_and_not_more_than_asked() -> None:
    picture, _ = shapes(1)
    wide = cv2.resize(picture, (801, 333)).astype(np.uint8)
    boxes = propose(wide, Search(max_side=120))
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all() and (boxes <= np.array([801, 333, 801, 333])).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes) > 20
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert (np.diff(sizes) <= sizes[:-1] * 1e-5).all()
    few = propose(wide, Search(max_side=120, limit=7))
    assert few.tolist() == boxes[:7].tolist()
    assert np.array_equal(propose(wide, Search(max_side=120)), boxes)
