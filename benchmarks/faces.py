"""Face detection and recognition beside the libraries' own loops: the same photos, in one process, in turns.

The bare loops read with OpenCV, at YuNet's best size for the photo (as ours), and make nothing of what is found.
Saccade's runner checks and reads the file, and makes the job's result; neither draws.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import beside, table
from saccade_core.assets import asset
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds import registry
from saccade_models.faces.yunet import AT_LEAST, AT_MOST
from saccade_models.weights import local_model
from servers.stack import Stack

PHOTOS = tuple(
    f"images/{name}.jpg"
    for name in (
        "groups/2007_007763", "groups/2008_001322", "groups/2008_002506", "groups/2009_004587",
        "faces/obama_1", "faces/obama_2", "faces/biden_2", "faces/obama_and_biden",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """Photos per second of the bare loop and of Saccade's runner: medians."""

    name: str
    bare: float
    saccade: float


def measure(rounds: int = 7) -> list[Row]:
    """Each way once without being counted (libraries load), then in turns."""
    photos = [asset(name) for name in PHOTOS]
    with tempfile.TemporaryDirectory() as folder:
        return [
            _row("yunet", _bare_yunet, photos, Path(folder), rounds),
            _row("ssd", _bare_ssd, photos, Path(folder), rounds),
            _row("haar", _bare_haar, photos, Path(folder), rounds),
        ]


def _row(
    engine: str, bare: Callable[[], Callable[[Path], object]], photos: list[Path], folder: Path, rounds: int
) -> Row:
    run, kind = registry.load_runner("detect_faces"), registry.get("detect_faces")
    params = registry.validate_params(kind, {"engine": engine, "overlay": False})
    context = LocalContext(folder, weights=local_model)
    theirs = bare()

    def ours(photo: Path) -> object:
        return run(inputs_of(media=photo), params, context)

    _seconds(theirs, photos)
    _seconds(ours, photos)
    spent = [(_seconds(theirs, photos), _seconds(ours, photos)) for _ in range(rounds)]
    return Row(engine, *(len(photos) / statistics.median(times) for times in zip(*spent, strict=True)))


def _seconds(look: Callable[[Path], object], photos: list[Path]) -> float:
    started = time.perf_counter()
    for photo in photos:
        look(photo)
    return time.perf_counter() - started


def _bare_yunet() -> Callable[[Path], object]:
    net = cv2.FaceDetectorYN.create(str(local_model("yunet").path), "", (320, 320), 0.7)

    def look(photo: Path) -> object:
        picture = _fitted(cv2.imread(str(photo)), AT_LEAST, AT_MOST)
        net.setInputSize((picture.shape[1], picture.shape[0]))
        return net.detect(picture)

    return look


def _bare_ssd() -> Callable[[Path], object]:
    files = local_model("face_ssd").files
    net = cv2.dnn.readNetFromTensorflow(str(files["weights"]), str(files["config"]))

    def look(photo: Path) -> object:
        picture = np.asarray(cv2.imread(str(photo)))
        net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (300, 300), (104.0, 177.0, 123.0)))
        return net.forward()

    return look


def _bare_haar() -> Callable[[Path], object]:
    file = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(str(file))

    def look(photo: Path) -> object:
        picture = _fitted(cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE), 1, AT_MOST)
        return cascade.detectMultiScale(picture, 1.1, 5)

    return look


def _fitted(picture: cv2.typing.MatLike | None, at_least: int, at_most: int) -> cv2.typing.MatLike:
    assert picture is not None
    scale = min(max(*picture.shape[:2], at_least), at_most) / max(picture.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how) if scale != 1 else picture


def section(_: Stack) -> str:
    """Photos per second of each engine, in this process."""
    rows = [[r.name, f"{r.bare:.1f}", f"{r.saccade:.1f}", *beside(r.saccade, r.bare)] for r in measure()]
    title = "`detect_faces`, the runner beside the library's own loop (8 photos, one process)"
    return table(title, ["engine", "bare loop, photos/s", "Saccade, photos/s", "ratio"], rows)
