"""A face turned, scaled and shifted so that its five points lie where the embedding network knows them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade_models.images import Pixels

#: Pixels a side of an aligned crop.
SIDE = 112
#: Where right eye, left eye, nose and the mouth's corners lie in it: ArcFace's template (Deng et al., "ArcFace", 2019;
#: insightface's face_align.py).
TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
#: Larger faces are first drawn so many times too large and then averaged: plain sampling of them would be aliased.
_MOST_OVERSAMPLED = 8


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The (2, 3) matrix of rotation, scale and shift that brings ``source`` (N, 2) nearest to ``target`` (N, 2).

    Least squares in closed form (Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE PAMI 1991, equations 39 to 43). Points that all coincide give scale 0.
    """
    a, b = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    spread = a - mean_a
    u, values, vt = np.linalg.svd((b - mean_b).T @ spread / len(a))
    signs = np.array([1.0, 1.0 if np.linalg.det(u @ vt) >= 0 else -1.0])  # a mirror image is no rotation
    rotation = u @ np.diag(signs) @ vt
    variance = float(np.square(spread).sum()) / len(a)
    scale = float(values @ signs) / variance if variance > 0 else 0.0
    return np.hstack([scale * rotation, (mean_b - scale * rotation @ mean_a)[:, None]])


def aligned(picture: Pixels, landmarks: Sequence[Sequence[float]]) -> Pixels:
    """The face at ``landmarks`` (YuNet's five) of a BGR picture as a crop (112, 112, 3); black outside the picture."""
    matrix = similarity(landmarks, TEMPLATE)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    times = min(_MOST_OVERSAMPLED, max(1, int(1 / scale))) if scale > 0 else 1
    crop = cv2.warpAffine(picture, matrix * times, (SIDE * times, SIDE * times))
    if times > 1:
        crop = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)
