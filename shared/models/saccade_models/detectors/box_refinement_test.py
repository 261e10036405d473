from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade_models.boxes import Floats
from saccade_models.detectors.box_refinement import MAX_GROWTH, decode, encode

SIDE = st.floats(1, 2000)
PLACE = st.floats(-500, 4000)


@st.composite
def boxes(draw: st.DrawFn, count: int = 3) -> Floats:
    corners = np.array([[draw(PLACE), draw(PLACE)] for _ in range(count)])
    return np.hstack([corners, corners + [[draw(SIDE), draw(SIDE)] for _ in range(count)]])


def test_targets_as_the_paper_defines_them() -> None:
    """A proposal 10 wide and 20 high at (5, 10); the truth 20 wide and 20 high at (7, 20)."""
    (target,) = encode([[0, 0, 10, 20]], [[-3, 10, 17, 30]]).tolist()
    assert target == pytest.approx([0.2, 0.5, np.log(2), 0])
    assert decode([[0, 0, 10, 20]], [target]).tolist()[0] == pytest.approx([-3, 10, 17, 30])


@settings(max_examples=50, deadline=None)
@given(boxes(), boxes())
def test_decoding_what_was_encoded_gives_the_truth(proposals: Floats, truths: Floats) -> None:
    ratio = (truths[:, 2:] - truths[:, :2]) / (proposals[:, 2:] - proposals[:, :2])
    small = ((ratio < MAX_GROWTH) & (ratio > 1 / MAX_GROWTH)).all(axis=1)
    refined = decode(proposals, encode(proposals, truths))
    assert np.allclose(refined[small], truths[small], rtol=1e-9, atol=1e-6)
    assert np.allclose(encode(proposals, proposals), 0)


@settings(max_examples=50, deadline=None)
@given(boxes(), boxes(), st.floats(0.1, 10), st.floats(-300, 300))
def test_targets_do_not_change_with_scale_and_place(a: Floats, b: Floats, scale: float, shift: float) -> None:
    assert np.allclose(encode(a, b), encode(a * scale + shift, b * scale + shift), rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(boxes(count=1), st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_wild_targets_give_finite_boxes_of_limited_size(proposal: Floats, target: list[float]) -> None:
    refined = decode(proposal, [target])
    assert np.isfinite(refined).all()
    growth = (refined[:, 2:] - refined[:, :2]) / (proposal[:, 2:] - proposal[:, :2])
    # Far away, differences of large coordinates lose digits.
    assert (growth <= MAX_GROWTH * 1.01).all() and (growth >= 0).all()


def test_no_boxes_are_no_boxes() -> None:
    assert encode([], []).shape == decode([], []).shape == (0, 4)
