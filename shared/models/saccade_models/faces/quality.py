"""How good a photo of a face is for recognition, and what keeps it out of a gallery.

The limits come from measurements with MobileFaceNet on sharp portraits that were shrunk and blurred (cosine
similarity with the untouched photo): a face 40 px wide keeps 0.95 and more, 30 px 0.88, 20 px 0.52 to 0.63;
a sharpness of 45 goes with 0.96 and more, of 20 with 0.70 to 0.80, of 10 with 0.1 to 0.7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import cv2
import numpy as np

from saccade_models.faces import Face
from saccade_models.images import Pixels, to_gray

#: Limit, words: a photo below (or above) is refused.
_MIN_SIZE, _GOOD_SIZE = 32.0, 60.0
_MIN_SHARPNESS, _GOOD_SHARPNESS = 20.0, 45.0
_MAX_YAW, _GOOD_YAW = 40.0, 25.0
_BRIGHTNESS, _GOOD_BRIGHTNESS = (20.0, 240.0), (40.0, 215.0)
#: Other faces narrower than this share of the largest are people in the background.
_BACKGROUND = 1 / 3


@dataclass(frozen=True, slots=True)
class Quality:
    """``size``: the box's shorter side in pixels; ``sharpness``: variance of the Laplacian of the aligned crop's grey
    values; ``brightness``: their mean, 0..255; ``yaw``: degrees the head is turned, positive to its own left;
    ``score``: the detector's, 0..1."""

    size: float
    sharpness: float
    brightness: float
    yaw: float
    score: float

    @property
    def figures(self) -> Mapping[str, float]:
        """By name, rounded."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a photo must keep."""

    size: float
    sharpness: float
    yaw: float
    brightness: tuple[float, float]


NEEDED = Limits(_MIN_SIZE, _MIN_SHARPNESS, _MAX_YAW, _BRIGHTNESS)
GOOD = Limits(_GOOD_SIZE, _GOOD_SHARPNESS, _GOOD_YAW, _GOOD_BRIGHTNESS)

Points: TypeAlias = Sequence[Sequence[float]]


def measure(face: Face, crop: Pixels) -> Quality:
    """The quality of a face with five landmarks, and its aligned BGR crop (112, 112, 3)."""
    gray = to_gray(crop)
    return Quality(
        size=min(face.width, face.height),
        sharpness=float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        brightness=float(gray.mean()),
        yaw=yaw(face.landmarks),
        score=face.score,
    )


def yaw(landmarks: Points) -> float:
    """Degrees by which a head is turned to its own left (negative: right), from eyes and nose.

    Where the nose's tip stands out from the eyes' plane as far as each eye is from the middle (about 3 cm both), its
    shift along the line of the eyes, in half eye distances, is the tangent of the angle.
    """
    right, left, nose = (np.asarray(point[:2], dtype=np.float64) for point in landmarks[:3])
    between = left - right
    length = float(between @ between)
    if length == 0:
        return 90.0
    return math.degrees(math.atan(2 * float((nose - right) @ between) / length - 1))


def faults(quality: Quality, limits: Limits = NEEDED) -> list[str]:
    """What is wrong with it by ``limits``, in words; empty where nothing is."""
    dark, bright = limits.brightness
    too = "too " if limits is NEEDED else ""
    found = (
        (quality.size < limits.size, f"the face is {too}small: {quality.size:.0f} px, {limits.size:.0f} are wanted"),
        (
            quality.sharpness < limits.sharpness,
            f"the face is {too}blurred: sharpness {quality.sharpness:.0f}, {limits.sharpness:.0f} is wanted",
        ),
        (
            abs(quality.yaw) > limits.yaw,
            f"the face is turned away: by {abs(quality.yaw):.0f} degrees, {limits.yaw:.0f} at most are wanted",
        ),
        (quality.brightness < dark, f"the face is {too}dark: {quality.brightness:.0f} of 255"),
        (quality.brightness > bright, f"the face is {too}bright: {quality.brightness:.0f} of 255"),
    )
    return [words for wrong, words in found if wrong]


def subject(faces: Sequence[Face]) -> tuple[Face | None, str]:
    """The one face that a photo shows, and a remark; None and the reason where there is none, or more than one.

    Faces much smaller than the largest are people in the background, and remarked on.
    """
    if not faces:
        return None, "no face was found"
    largest = max(faces, key=lambda face: face.width * face.height)
    others = [face for face in faces if face is not largest]
    rivals = [face for face in others if face.width >= _BACKGROUND * largest.width]
    if rivals:
        return None, f"{len(rivals) + 1} faces were found; give a photo of one person"
    return largest, f"{len(others)} smaller faces in the background are left out" if others else ""
