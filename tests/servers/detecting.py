"""What tests of detectors share: ultralytics' own photo, and registered models brought once."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

from saccade_core.errors import ModelMissing
from saccade_models.weights import local_model, pull


def bus() -> Path:
    """The sample photo inside the ultralytics package, found without importing it: four persons and a bus."""
    return Path(str(distribution("ultralytics").locate_file("ultralytics/assets/bus.jpg")))


def bring(*names: str) -> None:
    """Have these models here; YOLO's exported form is made once on a machine."""
    for name in names:
        try:
            local_model(name)
        except ModelMissing:
            pull(name, print)
