from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchvision.ops import batched_nms, box_convert, box_iou, clip_boxes_to_image
from torchvision.ops import nms as torchvision_nms

from saccade_models import boxes as ours
from saccade_models.boxes import Floats

WIDTH, HEIGHT = 640, 480


def _box(rng: np.random.Generator, count: int) -> Floats:
    """Boxes with some area, some far outside of the picture, many of them close together."""
    corners = rng.choice([0, 100, 101, 300], size=(count, 2)) + rng.normal(0, 20, size=(count, 2))
    return np.hstack([corners, corners + rng.uniform(0.5, 150, size=(count, 2))])


counts = st.integers(0, 60)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seeds, counts, counts)
def test_iou_is_torchvisions(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = _box(rng, n), _box(rng, m)
    found = ours.iou_matrix(a, b)
    assert found.shape == (n, m)
    np.testing.assert_allclose(found, box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy(), atol=1e-12)
    np.testing.assert_allclose(found, ours.iou_matrix(b, a).T, atol=0)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(np.diag(ours.iou_matrix(a, a)), np.ones(n))


def test_iou_of_what_can_be_counted_by_hand() -> None:
    found = ours.iou_matrix([[0, 0, 10, 10]], [[5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5], [3, 3, 3, 3]])
    np.testing.assert_allclose(found, [[50 / 150, 0, 25 / 100, 0]])
    assert ours.iou_matrix([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [[0]]
    assert ours.iou_matrix([], [[0, 0, 1, 1]]).shape == (0, 1)


def _same_up_to_ties(kept: NDArray[Any], theirs: torch.Tensor, scores: Floats, boxes: Floats) -> None:
    """The same boxes; where scores are equal, either of them may stand for the other."""
    np.testing.assert_array_equal(scores[kept], scores[theirs.numpy()])
    assert {(*boxes[i], scores[i]) for i in kept} == {(*boxes[i], scores[i]) for i in theirs.numpy()}


@settings(max_examples=80, deadline=None)
@given(seeds, counts, st.floats(0.05, 0.95))
def test_nms_is_torchvisions(seed: int, n: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = _box(rng, n), rng.permutation(n) / max(n, 1)
    kept = ours.nms(boxes, scores, iou)
    theirs = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou)
    np.testing.assert_array_equal(kept, theirs.numpy())
    np.testing.assert_array_equal(ours.nms(boxes, scores, iou, limit=3), kept[:3])


@settings(max_examples=40, deadline=None)
@given(seeds, counts, st.floats(0.05, 0.95))
def test_with_equal_scores_the_same_boxes_are_kept(seed: int, n: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = _box(rng, n), rng.integers(0, 5, n) / 5
    theirs = torchvision_nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou)
    _same_up_to_ties(ours.nms(boxes, scores, iou), theirs, scores, boxes)


@settings(max_examples=80, deadline=None)
@given(seeds, counts, st.floats(0.05, 0.95), st.integers(1, 5))
def test_class_nms_is_torchvisions_batched(seed: int, n: int, iou: float, classes: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = _box(rng, n), rng.permutation(n) / max(n, 1)
    ids = rng.integers(0, classes, n)
    theirs = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(ids), iou)
    kept = ours.class_nms(boxes, scores, ids, iou)
    _same_up_to_ties(kept, theirs, scores, boxes)
    for class_id in range(classes):
        own = np.flatnonzero(ids == class_id)
        alone = own[ours.nms(boxes[own], scores[own], iou)]
        np.testing.assert_array_equal(kept[ids[kept] == class_id], alone)


@settings(max_examples=40, deadline=None)
@given(seeds, counts, st.floats(0.05, 0.95))
def test_what_is_kept_does_not_overlap_and_what_goes_overlaps_a_better_one(seed: int, n: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = _box(rng, n), rng.random(n)
    kept = ours.nms(boxes, scores, iou)
    among = ours.iou_matrix(boxes[kept], boxes[kept])
    assert (among[~np.eye(len(kept), dtype=bool)] <= iou).all()
    for gone in set(range(n)) - set(kept.tolist()):
        better = kept[scores[kept] >= scores[gone]]
        assert (ours.iou_matrix(boxes[better], boxes[gone]) > iou).any()


@settings(max_examples=40, deadline=None)
@given(seeds, counts)
def test_forms_are_torchvisions_and_come_back(seed: int, n: int) -> None:
    boxes = _box(np.random.default_rng(seed), n)
    tensor = torch.from_numpy(boxes)
    np.testing.assert_allclose(ours.xyxy_to_xywh(boxes), box_convert(tensor, "xyxy", "xywh").numpy())
    np.testing.assert_allclose(ours.xyxy_to_cxcywh(boxes), box_convert(tensor, "xyxy", "cxcywh").numpy())
    np.testing.assert_allclose(ours.xywh_to_xyxy(ours.xyxy_to_xywh(boxes)), boxes)
    np.testing.assert_allclose(ours.cxcywh_to_xyxy(ours.xyxy_to_cxcywh(boxes)), boxes)
    shares = ours.xyxy_to_yolo(boxes, WIDTH, HEIGHT)
    np.testing.assert_allclose(shares * [WIDTH, HEIGHT, WIDTH, HEIGHT], ours.xyxy_to_cxcywh(boxes))
    np.testing.assert_allclose(ours.yolo_to_xyxy(shares, WIDTH, HEIGHT), boxes, atol=1e-9)
    clipped = ours.clip(boxes, WIDTH, HEIGHT)
    np.testing.assert_array_equal(clipped, clip_boxes_to_image(tensor, (HEIGHT, WIDTH)).numpy())
    np.testing.assert_allclose(ours.areas(boxes), ours.xyxy_to_xywh(boxes)[:, 2:].prod(axis=1))
