"""The four landmarkers of MediaPipe Tasks, in IMAGE mode: what is found in a picture depends on nothing before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from mediapipe.tasks.python.core.base_options import BaseOptions
from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarker, FaceLandmarkerOptions
from mediapipe.tasks.python.vision.hand_landmarker import HandLandmarker, HandLandmarkerOptions
from mediapipe.tasks.python.vision.holistic_landmarker import (
    HolisticLandmarker,
    HolisticLandmarkerOptions,
    HolisticLandmarkerResult,
)
from mediapipe.tasks.python.vision.pose_landmarker import PoseLandmarker, PoseLandmarkerOptions
from numpy.typing import NDArray

from saccade_models.images import Pixels
from saccade_models.landmarks import Handedness, Landmarker, Settings, Subject, What
from saccade_models.mediapipe_task import Task

# Several processes side by side are faster than one with many threads.
cv2.setNumThreads(1)

Marks: TypeAlias = Sequence[Any]  # of MediaPipe's NormalizedLandmark


@lru_cache(maxsize=4)
def load(what: What, path: Path, settings: Settings) -> Landmarker:
    """The landmarker, loaded once in a process for each combination; MediaPipe fixes settings when it is made."""
    match what:
        case "face_mesh":
            return _FaceMesh(path, settings)
        case "hands":
            return _Hands(path, settings)
        case "pose":
            return _Pose(path, settings)
        case "holistic":
            return _Holistic(path, settings)


class _FaceMesh:
    def __init__(self, path: Path, settings: Settings) -> None:
        options = FaceLandmarkerOptions(
            base_options=_base(path),
            num_faces=settings.max_subjects,
            min_face_detection_confidence=settings.min_score,
            min_face_presence_confidence=settings.min_score,
            output_face_blendshapes=settings.blendshapes,
        )
        self._task = Task(lambda: FaceLandmarker.create_from_options(options))

    def find(self, picture: Pixels) -> list[Subject]:
        found = self._task.detect(picture)
        shapes = found.face_blendshapes or [[] for _ in found.face_landmarks]
        return [_face(marks, each, picture) for marks, each in zip(found.face_landmarks, shapes, strict=True)]


class _Hands:
    def __init__(self, path: Path, settings: Settings) -> None:
        options = HandLandmarkerOptions(
            base_options=_base(path),
            num_hands=settings.max_subjects,
            min_hand_detection_confidence=settings.min_score,
            min_hand_presence_confidence=settings.min_score,
        )
        self._task = Task(lambda: HandLandmarker.create_from_options(options))

    def find(self, picture: Pixels) -> list[Subject]:
        found = self._task.detect(picture)
        return [
            _hand(marks, "left" if side[0].category_name == "Left" else "right", picture, side[0].score)
            for marks, side in zip(found.hand_landmarks, found.handedness, strict=True)
        ]


class _Pose:
    def __init__(self, path: Path, settings: Settings) -> None:
        options = PoseLandmarkerOptions(
            base_options=_base(path),
            num_poses=settings.max_subjects,
            min_pose_detection_confidence=settings.min_score,
            min_pose_presence_confidence=settings.min_score,
        )
        self._task = Task(lambda: PoseLandmarker.create_from_options(options))

    def find(self, picture: Pixels) -> list[Subject]:
        return [_pose(marks, picture) for marks in self._task.detect(picture).pose_landmarks]


class _Holistic:
    """One person's face, pose and hands.

    Even in IMAGE mode the graph remembers: it looks for the next picture's person where the last one's was, finds
    people who are not there, and fails on a picture of another size. So each size has a graph of its own, and a black
    picture before each makes it forget: then it gives what a new graph gives, to the bit, in 10 ms instead of 150.
    """

    #: Graphs, of 120 MB each: a video and the next picture, or upright and lying photos of one camera.
    SIZES = 2
    _BLACK: Pixels = np.zeros((64, 64, 3), np.uint8)

    def __init__(self, path: Path, settings: Settings) -> None:
        options = HolisticLandmarkerOptions(
            base_options=_base(path),
            min_face_detection_confidence=settings.min_score,
            min_face_landmarks_confidence=settings.min_score,
            min_pose_detection_confidence=settings.min_score,
            min_pose_landmarks_confidence=settings.min_score,
            min_hand_landmarks_confidence=settings.min_score,
            output_face_blendshapes=settings.blendshapes,
        )

        @lru_cache(maxsize=self.SIZES)
        def task(_height: int, _width: int) -> Task[HolisticLandmarkerResult]:
            return Task(lambda: HolisticLandmarker.create_from_options(options))

        self._task = task

    def find(self, picture: Pixels) -> list[Subject]:
        task = self._task(*picture.shape[:2])
        task.detect(self._BLACK)
        found = task.detect(picture)
        subjects: list[Subject] = []
        if found.face_landmarks:
            subjects.append(_face(found.face_landmarks, found.face_blendshapes or [], picture))
        if found.pose_landmarks:
            subjects.append(_pose(found.pose_landmarks, picture))
        if found.left_hand_landmarks:
            subjects.append(_hand(found.left_hand_landmarks, "left", picture))
        if found.right_hand_landmarks:
            subjects.append(_hand(found.right_hand_landmarks, "right", picture))
        return subjects


def _base(path: Path) -> BaseOptions:
    return BaseOptions(model_asset_path=str(path), delegate=BaseOptions.Delegate.CPU)


def _face(marks: Marks, shapes: Sequence[Any], picture: Pixels) -> Subject:
    return Subject("face_mesh", _points(marks, picture), blendshapes={s.category_name: _unit(s.score) for s in shapes})


def _hand(marks: Marks, side: Handedness, picture: Pixels, score: float | None = None) -> Subject:
    return Subject("hand", _points(marks, picture), None if score is None else _unit(score), side)


def _pose(marks: Marks, picture: Pixels) -> Subject:
    presence = _unit(float(np.mean([m.presence or 0 for m in marks])))
    visibility = np.clip([m.visibility or 0 for m in marks], 0, 1).astype(np.float64)
    return Subject("pose", _points(marks, picture), presence, visibility=visibility)


def _points(marks: Marks, picture: Pixels) -> NDArray[np.float64]:
    height, width = picture.shape[:2]
    # z is in the scale of x, that is, of the picture's width.
    return np.array([(m.x, m.y, m.z) for m in marks], dtype=np.float64) * (width, height, width)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
