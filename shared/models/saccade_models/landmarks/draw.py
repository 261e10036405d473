"""Meshes and skeletons drawn on a picture: the person's left side orange, the right side blue, the middle white."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_models.draw import Bgr, bgr, draw_label, line_width, text_size
from saccade_models.images import Pixels
from saccade_models.landmarks import Handedness, Kind
from saccade_models.landmarks.skeletons import (
    FACE_CONTOURS,
    FACE_MESH,
    HAND,
    HEAD_POINTS,
    POSE,
    POSE_SIDES,
    Lines,
    Side,
)

COLORS: Mapping[Side, Bgr] = {"left": bgr("#ff8c1a"), "right": bgr("#00b4ff"), "middle": bgr("#ffffff")}
_EDGE: Bgr = (40, 40, 40)  # around lines, so that they are seen on any ground
#: Points of a pose that are less visible are guesses, and not drawn.
_VISIBLE = 0.5
#: How much the mesh covers; less on small faces, whose lines lie close.
_MESH_SHARE, _MESH_SIZE = 0.4, 240
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel


def draw_subject(
    pixels: Pixels,
    what: Kind,
    points: NDArray[np.float64],
    *,
    handedness: Handedness | None = None,
    visibility: Sequence[float] | None = None,
    with_face: bool = False,
) -> None:
    """Draw one subject in place on a contiguous picture (H, W, 3) uint8 BGR; ``points`` (N, 2 or more) in pixels.

    ``with_face``: the same person's face is drawn too, so a pose goes without its head and a hand without its name.
    """
    flat = points[:, :2]
    match what:
        case "face_mesh":
            _draw_face(pixels, flat)
        case "hand":
            _draw_hand(pixels, flat, handedness, named=not with_face)
        case "pose":
            _draw_pose(pixels, flat, visibility, head=not with_face)


def _draw_face(pixels: Pixels, points: NDArray[np.float64]) -> None:
    width = _width(pixels, points, 160)
    _draw_faint(pixels, points, FACE_MESH)
    for side, lines in FACE_CONTOURS.items():
        _draw_lines(pixels, points, lines, COLORS[side], width)


def _draw_hand(pixels: Pixels, points: NDArray[np.float64], handedness: Handedness | None, *, named: bool) -> None:
    color, width = COLORS[handedness or "middle"], _width(pixels, points, 24)
    _draw_lines(pixels, points, HAND, color, width)
    _draw_dots(pixels, points, COLORS["middle"], width)
    x1, y1, x2, y2 = _bounds(points)
    if named and handedness is not None and y2 - y1 >= 2 * text_size(pixels) and _touches(pixels, (x1, y1, x2, y2)):
        draw_label(pixels, handedness, (x1, y1 - 2 * width, x2, y2 + 2 * width), color)


def _draw_pose(pixels: Pixels, points: NDArray[np.float64], visibility: Sequence[float] | None, *, head: bool) -> None:
    seen = np.ones(len(points), bool) if visibility is None else np.asarray(visibility) >= _VISIBLE
    if not head:
        seen[:HEAD_POINTS] = False
    if not seen.any():
        return
    width = _width(pixels, points[seen], 60)
    in_head = np.arange(len(points)) < HEAD_POINTS
    sides = np.array(POSE_SIDES)
    for part, thick in ((in_head, max(1, width // 2)), (~in_head, width)):
        shown = seen & part
        for side, lines in POSE.items():
            _draw_lines(pixels, points, lines[shown[lines].all(axis=1)], COLORS[side], thick)
        for side, color in COLORS.items():
            _draw_dots(pixels, points[shown & (sides == side)], color, thick)


def _width(pixels: Pixels, points: NDArray[np.float64], parts: int) -> int:
    """The picture's usual width of lines, less on what is small in it: no line wider than 1/``parts`` of it."""
    x1, y1, x2, y2 = _bounds(points)
    return max(1, min(line_width(pixels), round(max(x2 - x1, y2 - y1) / parts)))


def _draw_lines(pixels: Pixels, points: NDArray[np.float64], lines: Lines, color: Bgr, width: int) -> None:
    segments = _fixed(points[lines])
    if width > 1:
        cv2.polylines(pixels, segments, False, _EDGE, width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(pixels, segments, False, color, width, cv2.LINE_AA, _SHIFT)


def _draw_dots(pixels: Pixels, points: NDArray[np.float64], color: Bgr, width: int) -> None:
    radius = round((width + 0.5) * (1 << _SHIFT))
    for center in _fixed(points):
        cv2.circle(pixels, center.tolist(), radius + (1 << _SHIFT), _EDGE, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(pixels, center.tolist(), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_faint(pixels: Pixels, points: NDArray[np.float64], lines: Lines) -> None:
    """Thin, half transparent lines, blended where the points are only."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = _bounds(points)
    left, top = max(0, int(x1) - 1), max(0, int(y1) - 1)
    part = pixels[top : min(height, int(y2) + 2), left : min(width, int(x2) + 2)]
    if part.size:
        drawn = part.copy()
        cv2.polylines(drawn, _fixed((points - (left, top))[lines]), False, COLORS["middle"], 1, cv2.LINE_AA, _SHIFT)
        share = _MESH_SHARE * min(1, max(x2 - x1, y2 - y1) / _MESH_SIZE)
        cv2.addWeighted(drawn, share, part, 1 - share, 0, dst=part)


def _fixed(points: NDArray[np.float64]) -> list[NDArray[np.int32]]:
    """In OpenCV's fixed point, where a whole number is a pixel's centre and not its corner."""
    return list(np.rint((points - 0.5) * (1 << _SHIFT)).astype(np.int32))


def _bounds(points: NDArray[np.float64]) -> tuple[float, float, float, float]:
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def _touches(pixels: Pixels, box: tuple[float, float, float, float]) -> bool:
    return box[2] > 0 and box[3] > 0 and box[0] < pixels.shape[1] and box[1] < pixels.shape[0]
