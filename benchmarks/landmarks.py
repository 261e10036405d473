"""``find_landmarks`` beside MediaPipe's own loop: the same photos and the same video, in one process, in turns.

The bare loop reads with OpenCV, and reads out nothing but MediaPipe's result objects. Saccade's runner checks and reads
the file, and makes the job's result; neither draws.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import mediapipe as mp
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

from benchmarks.report import beside, table
from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.find_landmarks.contract import KIND, FindLandmarksParams
from saccade_kinds.find_landmarks.runner import run
from saccade_models.weights import local_model
from servers.stack import Stack

What: TypeAlias = Literal["face_mesh", "hands", "pose"]
Detect: TypeAlias = Callable[[mp.Image], Any]

PORTRAITS = tuple(
    f"images/faces/{name}.jpg"
    for name in ("biden_1", "biden_2", "obama_1", "obama_2", "obama_3", "obama_partial", "obama_and_biden")
)
HANDS = tuple(
    f"images/hands/{name}.jpg"
    for name in (
        "call_044768ad", "call_17b3aa02", "four_06aa70cc", "four_105f8f8e",
        "four_15a73593", "none_0a71a6e8", "rock_026fd791", "rock_0cc7ad09",
    )
)  # fmt: skip
PHOTOS: dict[What, tuple[str, ...]] = {"face_mesh": PORTRAITS, "hands": HANDS, "pose": HANDS}
VIDEO = "videos/short_hamilton_clip.mp4"


Way: TypeAlias = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one picture or frame: wall and processor milliseconds (of all threads)."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """The bare loop beside Saccade's runner."""

    name: str
    bare: Cost
    saccade: Cost


def measure(rounds: int = 8) -> list[Row]:
    """Each way once without being counted (libraries load), then in turns, photo by photo; of each photo the best
    round counts, as what others do on the machine only slows."""
    rows: list[Row] = []
    for what, names in PHOTOS.items():
        task = _task(what)
        pairs = [(partial(_bare_photo, task, file), partial(_our_photo, what, file)) for file in map(asset, names)]
        rows.append(_compared(f"{what}, {len(pairs)} photos", pairs, rounds))
    video = asset(VIDEO)
    ways = (partial(_bare_video, _task("face_mesh"), video), partial(_our_video, video))
    rows.append(_compared("face_mesh, a video of 640x360", [ways], max(1, rounds // 2)))
    return rows


def _compared(name: str, pairs: Sequence[tuple[Way, Way]], rounds: int) -> Row:
    taken: list[tuple[list[Cost], list[Cost]]] = [([], []) for _ in pairs]
    for number in range(rounds + 1):
        for pair, costs in zip(pairs, taken, strict=True):
            for way, its in zip(pair, costs, strict=True):
                cost = _cost(way)
                if number:
                    its.append(cost)
    return Row(name, _mean([_best(bare) for bare, _ in taken]), _mean([_best(ours) for _, ours in taken]))


def _cost(way: Way) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    count = way()
    return Cost((time.perf_counter() - wall) * 1e3 / count, (time.process_time() - cpu) * 1e3 / count)


def _best(costs: Sequence[Cost]) -> Cost:
    return Cost(min(c.wall_ms for c in costs), min(c.cpu_ms for c in costs))


def _mean(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.mean(c.wall_ms for c in costs), statistics.mean(c.cpu_ms for c in costs))


def _task(what: What) -> Detect:
    """MediaPipe's task with the kind's default settings."""
    params = FindLandmarksParams(what=what)
    base, most = BaseOptions(model_asset_path=str(local_model(KIND.models(params)[0]).path)), params.max_subjects
    match what:
        case "face_mesh":
            options = vision.FaceLandmarkerOptions(base, num_faces=most, output_face_blendshapes=True)
            return vision.FaceLandmarker.create_from_options(options).detect
        case "hands":
            return vision.HandLandmarker.create_from_options(vision.HandLandmarkerOptions(base, num_hands=most)).detect
        case "pose":
            return vision.PoseLandmarker.create_from_options(vision.PoseLandmarkerOptions(base, num_poses=most)).detect


def _detect(detect: Detect, pixels: Any) -> None:
    detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))


def _bare_photo(detect: Detect, file: Path) -> int:
    _detect(detect, cv2.imread(str(file)))
    return 1


def _bare_video(detect: Detect, file: Path) -> int:
    video = cv2.VideoCapture(str(file))
    count = 0
    while True:
        done, pixels = video.read()
        if not done:
            return count
        _detect(detect, pixels)
        count += 1


def _our_photo(what: What, file: Path) -> int:
    with _context() as context:
        run(inputs_of(media=file), FindLandmarksParams(what=what, overlay=False), context)
    return 1


def _our_video(file: Path) -> int:
    with _context() as context:
        seen = run(inputs_of(media=file), FindLandmarksParams(overlay=False), context).video
    if seen is None:
        raise RuntimeError("The clip was not taken for a video.")
    return seen.frames_seen


@contextmanager
def _context() -> Generator[LocalContext]:
    with tempfile.TemporaryDirectory() as folder:
        yield LocalContext(Path(folder), weights=local_model)


def section(_: Stack) -> str:
    """Each kind of landmark, in this process."""
    rows = [
        [
            row.name,
            *(f"{1e3 / cost.wall_ms:.1f}" for cost in (row.bare, row.saccade)),
            *beside(row.bare.wall_ms, row.saccade.wall_ms),
            *(f"{cost.cpu_ms:.1f}" for cost in (row.bare, row.saccade)),
            *beside(row.bare.cpu_ms, row.saccade.cpu_ms),
        ]
        for row in measure()
    ]
    header = ["what", "MediaPipe's loop, /s", "Saccade, /s", "ratio", "CPU ms each", "Saccade's", "ratio"]
    return table("`find_landmarks`, the runner beside MediaPipe's own loop (one process)", header, rows)
