"""Faces: detection behind one interface, whatever library runs it; alignment, embedding, quality, search, calibration.

``detector(engine, context)`` gives a loaded engine; it stays loaded in the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade_core.kind import Context
from saccade_models.images import Pixels

Engine: TypeAlias = Literal["yunet", "haar", "ssd", "mediapipe"]
Point: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[float, float, float, float]

#: The registered weights of each engine; the Haar cascade comes with OpenCV.
MODELS: Mapping[Engine, str] = {"yunet": "yunet", "ssd": "face_ssd", "mediapipe": "blaze_face"}

#: The most faces of one picture: with a low ``min_score`` an engine gives thousands that are none.
MAX_FOUND = 300

# Several processes side by side are faster than one with many threads.
cv2.setNumThreads(1)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture: ``box`` x1, y1, x2, y2 in pixels, inside the picture; ``score`` 0..1.

    ``landmarks`` in pixels (left and right are the person's own). YuNet: right eye, left eye, nose, right and left
    corner of the mouth. MediaPipe: right eye, left eye, nose, middle of the mouth, right ear, left ear. Others: none.
    """

    box: Box
    score: float
    landmarks: tuple[Point, ...] = ()

    @property
    def shown_box(self) -> Box:
        """The box with two decimals, for results."""
        x1, y1, x2, y2 = (round(value, 2) for value in self.box)
        return x1, y1, x2, y2

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts as found. ``min_score`` None is the engine's own good value; the other two are the Haar
    cascade's: each size is ``scale_factor`` times the last, and ``min_neighbors`` hits at one place make a face."""

    min_score: float | None = None
    scale_factor: float = 1.1
    min_neighbors: int = 5


DEFAULTS = Settings()


class FaceDetector(Protocol):
    """A loaded engine."""

    def detect(self, picture: Pixels, settings: Settings = DEFAULTS) -> list[Face]:
        """The faces of a picture (H, W, 3) uint8 BGR, best first, ``MAX_FOUND`` at most."""
        ...


def detector(engine: Engine, context: Context) -> FaceDetector:
    """The engine called ``engine``, noted in the job's provenance; raises errors.ModelMissing."""
    match engine:
        case "yunet":
            from saccade_models.faces import yunet

            return yunet.load(context.model(MODELS["yunet"]).path)
        case "ssd":
            from saccade_models.faces import ssd

            files = context.model(MODELS["ssd"]).files
            return ssd.load(files["weights"], files["config"])
        case "mediapipe":
            from saccade_models.faces import blaze

            return blaze.load(context.model(MODELS["mediapipe"]).path)
        case "haar":
            from saccade_models.faces import haar

            context.uses_model(haar.CASCADE, cv2.__version__)
            return haar.load()


def found(
    boxes: ArrayLike, scores: ArrayLike, picture: Pixels, landmarks: Sequence[Sequence[Point]] | None = None
) -> list[Face]:
    """What an engine found as faces, the ``MAX_FOUND`` best, best first; boxes are cut off at the picture's edges, and
    gone where nothing of them is inside."""
    height, width = picture.shape[:2]
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    clipped = np.clip(rows, 0, [width, height, width, height])
    values = np.clip(np.asarray(scores, dtype=np.float64).ravel(), 0, 1)
    faces = [
        Face(_box(clipped[i]), float(values[i]), tuple(landmarks[i]) if landmarks is not None else ())
        for i in np.argsort(-values, kind="stable")
    ]
    return [face for face in faces if face.width > 0 and face.height > 0][:MAX_FOUND]


def resized(picture: Pixels, *, at_least: int, at_most: int) -> tuple[Pixels, tuple[float, float]]:
    """The picture with its longest side between these pixels, and its scale in x and y."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    scale = min(max(longest, at_least), at_most) / longest
    if scale == 1:
        return picture, (1.0, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    smaller = np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)
    return smaller, (size[0] / width, size[1] / height)


def _box(row: NDArray[np.float64]) -> Box:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
