"""Which points are joined by lines, by MediaPipe's own lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

import numpy as np
from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarksConnections as Face
from mediapipe.tasks.python.vision.hand_landmarker import HandLandmarksConnections as Hand
from mediapipe.tasks.python.vision.pose_landmarker import PoseLandmark, PoseLandmarksConnections
from numpy.typing import NDArray

#: The person's own.
Side: TypeAlias = Literal["left", "right", "middle"]
#: (L, 2) indices of points.
Lines: TypeAlias = NDArray[np.intp]


class _Connection(Protocol):
    start: int
    end: int


def _lines(connections: Iterable[_Connection]) -> Lines:
    return np.array([(c.start, c.end) for c in connections], dtype=np.intp).reshape(-1, 2)


def _side(point: PoseLandmark) -> Side:
    return "left" if "LEFT" in point.name else "right" if "RIGHT" in point.name else "middle"


#: All triangles of the mesh.
FACE_MESH = _lines(Face.FACE_LANDMARKS_TESSELATION)
#: What makes a face of it.
FACE_CONTOURS: dict[Side, Lines] = {
    "middle": _lines([*Face.FACE_LANDMARKS_FACE_OVAL, *Face.FACE_LANDMARKS_LIPS]),
    "left": _lines([*Face.FACE_LANDMARKS_LEFT_EYE, *Face.FACE_LANDMARKS_LEFT_EYEBROW, *Face.FACE_LANDMARKS_LEFT_IRIS]),
    "right": _lines(
        [*Face.FACE_LANDMARKS_RIGHT_EYE, *Face.FACE_LANDMARKS_RIGHT_EYEBROW, *Face.FACE_LANDMARKS_RIGHT_IRIS]
    ),
}
LEFT_EYE, RIGHT_EYE = _lines(Face.FACE_LANDMARKS_LEFT_EYE), _lines(Face.FACE_LANDMARKS_RIGHT_EYE)
HAND = _lines(Hand.HAND_CONNECTIONS)
#: A pose's first points are of the head.
HEAD_POINTS = int(PoseLandmark.LEFT_SHOULDER)
POSE_SIDES: tuple[Side, ...] = tuple(_side(point) for point in PoseLandmark)
_POSE = _lines(PoseLandmarksConnections.POSE_LANDMARKS)
#: Lines within one side; those that join the sides are in the middle.
POSE: dict[Side, Lines] = {
    "middle": np.array([(a, b) for a, b in _POSE if POSE_SIDES[a] != POSE_SIDES[b]]),
    "left": np.array([(a, b) for a, b in _POSE if POSE_SIDES[a] == POSE_SIDES[b] == "left"]),
    "right": np.array([(a, b) for a, b in _POSE if POSE_SIDES[a] == POSE_SIDES[b] == "right"]),
}
