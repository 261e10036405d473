"""Twins of what runners are given, for tests: the real thing without a worker around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from saccade_core.errors import Cancelled, ModelMissing, NotFound
from saccade_core.kind import EnrolledFace, GalleryFiles, InputFile, Inputs, ModelFiles
from saccade_core.trained import TrainedModel, TrainedRef


@dataclass
class LocalContext:
    """A runner's context in one folder, remembering what it was told; ``cancel_after`` counts progress calls."""

    root: Path
    device: str = "cpu"
    cancel_after: int | None = None
    weights: Callable[[str], ModelFiles] | None = None
    gallery_files: GalleryFiles | None = None
    reported: list[tuple[float, float, str]] = field(default_factory=list[tuple[float, float, str]])
    logged: list[str] = field(default_factory=list[str])
    metrics: list[tuple[str, float, int]] = field(default_factory=list[tuple[str, float, int]])
    models: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    saved: list[str] = field(default_factory=list[str])
    enrolled: list[EnrolledFace] = field(default_factory=list[EnrolledFace])
    registers: TrainedRef = field(default_factory=lambda: TrainedRef(name="model", version=1))
    registered: list[TrainedModel] = field(default_factory=list[TrainedModel])

    @property
    def scratch(self) -> Path:
        return self._folder("scratch")

    @property
    def checkpoints(self) -> Path:
        return self._folder("checkpoints")

    @property
    def artifacts(self) -> Path:
        return self._folder("artifacts")

    def progress(self, done: float, total: float, stage: str) -> None:
        self.reported.append((done, total, stage))
        self.check_cancelled()

    def check_cancelled(self) -> None:
        if self.cancel_after is not None and len(self.reported) >= self.cancel_after:
            raise Cancelled("The job was cancelled.")

    def artifact(self, name: str) -> Path:
        path = self.artifacts / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def model(self, name: str) -> ModelFiles:
        if self.weights is None:
            raise ModelMissing(f"Model {name!r} is not here.", received=name)
        found = self.weights(name)
        self.uses_model(found.name, found.version, found.sha256)
        return found

    def gallery(self) -> GalleryFiles:
        if self.gallery_files is None:
            raise NotFound("No gallery was given.")
        return self.gallery_files

    def enroll(self, face: EnrolledFace) -> None:
        self.enrolled.append(face)

    def uses_model(self, name: str, version: str, sha256: str = "") -> None:
        self.models.append((name, version, sha256))

    def register(self, model: TrainedModel) -> None:
        self.registered.append(model)

    def log(self, message: str) -> None:
        self.logged.append(message)

    def metric(self, name: str, value: float, step: int) -> None:
        self.metrics.append((name, value, step))

    def save_checkpoint(self, name: str) -> None:
        self.saved.append(name)

    def _folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def inputs_of(**files: Path | list[Path]) -> Inputs:
    """Inputs as the worker host would give them, from local files."""
    return Inputs({name: _files(name, value) for name, value in files.items()})


def _files(name: str, value: Path | list[Path]) -> list[InputFile]:
    if isinstance(value, Path):
        return [InputFile(value, value.name, "application/octet-stream", name)]
    return [InputFile(p, p.name, "application/octet-stream", f"{name}[{i}]") for i, p in enumerate(value)]
