"""Box refinement: from a proposal to the box of the thing in it, as Girshick and others regress it.

A target (tx, ty, tw, th) says how far the true box's centre lies from the proposal's, in the proposal's widths and
heights, and the logarithm of how much wider and higher it is (R-CNN, CVPR 2014, appendix C)::

    tx = (gx - px) / pw    ty = (gy - py) / ph    tw = log(gw / pw)    th = log(gh / ph)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from saccade_models.boxes import Floats, cxcywh_to_xyxy, xyxy_to_cxcywh

#: A refinement makes a box no more than so many times wider or higher: a wild network's exp() stays finite.
MAX_GROWTH = 1000 / 16


def encode(proposals: ArrayLike, truths: ArrayLike) -> Floats:
    """(N, 4) targets tx, ty, tw, th that take each of ``proposals`` (N, 4) to the box of ``truths`` (N, 4) beside it.

    Boxes are ``x1, y1, x2, y2`` in pixels, all sides longer than 0.
    """
    start, end = xyxy_to_cxcywh(proposals), xyxy_to_cxcywh(truths)
    return np.hstack([(end[:, :2] - start[:, :2]) / start[:, 2:], np.log(end[:, 2:] / start[:, 2:])])


def decode(proposals: ArrayLike, targets: ArrayLike) -> Floats:
    """(N, 4) boxes ``x1, y1, x2, y2`` in pixels: the inverse of ``encode``, growth limited to ``MAX_GROWTH``."""
    start = xyxy_to_cxcywh(proposals)
    moves = np.asarray(targets, dtype=np.float64).reshape(-1, 4)
    growth = np.exp(np.clip(moves[:, 2:], -np.log(MAX_GROWTH), np.log(MAX_GROWTH)))
    return cxcywh_to_xyxy(np.hstack([start[:, :2] + moves[:, :2] * start[:, 2:], start[:, 2:] * growth]))
