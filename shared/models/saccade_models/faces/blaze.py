"""BlazeFace, short range (Bazarevsky et al., 2019), by MediaPipe Tasks: for faces within about 2 m of the camera."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from mediapipe.tasks.python.core.base_options import BaseOptions
from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

from saccade_models.faces import DEFAULTS, Face, Settings, found
from saccade_models.images import Pixels
from saccade_models.mediapipe_task import Task

MIN_SCORE = 0.5


class BlazeFace:
    """The task's file; a MediaPipe object for each least score, as that is fixed when it is made."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def detect(self, picture: Pixels, settings: Settings = DEFAULTS) -> list[Face]:
        """As FaceDetector says, with six landmarks."""
        task = _task(self._path, MIN_SCORE if settings.min_score is None else settings.min_score)
        raw: list[Any] = task.detect(picture).detections
        height, width = picture.shape[:2]
        sides = [face.bounding_box for face in raw]
        boxes = [(b.origin_x, b.origin_y, b.origin_x + b.width, b.origin_y + b.height) for b in sides]
        points = [[(float(p.x * width), float(p.y * height)) for p in face.keypoints or []] for face in raw]
        return found(boxes, [face.categories[0].score for face in raw], picture, points)


@lru_cache(maxsize=4)
def _task(path: Path, min_score: float) -> Task[Any]:
    options = FaceDetectorOptions(
        base_options=BaseOptions(model_asset_path=str(path)), min_detection_confidence=min_score
    )

    def make() -> Any:
        return FaceDetector.create_from_options(options)

    return Task(make)


@lru_cache(maxsize=1)
def load(path: Path) -> BlazeFace:
    """The detector, loaded once in a process."""
    return BlazeFace(path)
