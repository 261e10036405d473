"""One trial: a training, run as its own kind runs it, whose model is kept where it may be the best one."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from saccade_core.errors import EngineFailed, InvalidParams
from saccade_core.kind import Context, EnrolledFace, GalleryFiles, Inputs, ModelFiles
from saccade_core.parts import Part
from saccade_core.trained import Family, TrainedModel, TrainedRef
from saccade_kinds import registry
from saccade_kinds.search_hyperparameters.contract import Direction, Metric, SearchHyperparametersParams

#: Where among a part's artefacts the model is that its training registered.
MODEL = "model"
_DIRECTIONS: Mapping[Metric, Direction] = {"val_accuracy": "maximize", "val_loss": "minimize", "val_mae": "minimize"}
#: What of a trial that is not the best so far is kept, for people who look on.
_ALWAYS_KEPT = ("history.csv", "curves.png")


def direction_of(metric: Metric) -> Direction:
    """Whether more or less of it is better."""
    return _DIRECTIONS[metric]


@dataclass
class TrialContext:
    """The part's context, as the training sees it: the model that it registers is kept here."""

    context: Context
    number: int
    shown: str
    registered: list[TrainedModel] = field(default_factory=list[TrainedModel])
    written: list[str] = field(default_factory=list[str])

    @property
    def scratch(self) -> Path:
        return self.context.scratch

    @property
    def device(self) -> str:
        return self.context.device

    @property
    def checkpoints(self) -> Path:
        return self.context.checkpoints

    @property
    def registers(self) -> TrainedRef:
        return self.context.registers

    def progress(self, done: float, total: float, stage: str) -> None:
        self.context.progress(done, total, stage)

    def check_cancelled(self) -> None:
        self.context.check_cancelled()

    def artifact(self, name: str) -> Path:
        self.written.append(name)
        return self.context.artifact(name)

    def model(self, name: str) -> ModelFiles:
        return self.context.model(name)

    def gallery(self) -> GalleryFiles:
        return self.context.gallery()

    def enroll(self, face: EnrolledFace) -> None:
        self.context.enroll(face)

    def uses_model(self, name: str, version: str, sha256: str = "") -> None:
        self.context.uses_model(name, version, sha256)

    def register(self, model: TrainedModel) -> None:
        self.registered.append(model)

    def log(self, message: str) -> None:
        self.context.log(f"trial {self.number}: {message}")

    def metric(self, name: str, value: float, step: int) -> None:
        """One curve for each trial; more of them nobody could read."""
        if name == self.shown:
            self.context.metric(f"{name} of trial {self.number}", value, step)

    def save_checkpoint(self, name: str) -> None:
        self.context.save_checkpoint(name)


def run_trial(inputs: Inputs, params: SearchHyperparametersParams, context: Context, part: Part) -> dict[str, Any]:
    """Train, and say how well it went: ``value`` is None where the loss was no number."""
    trial = TrialContext(context, part.index + 1, params.metric or "val_loss")
    try:
        wanted = params.trial(part.spec["values"])
    except ValueError as error:
        raise InvalidParams(str(error), field="params.space") from None
    result = registry.load_runner(params.training)(inputs, wanted, trial)
    measured = read_history(context.artifact("history.csv"), params.metric)
    value = measured.value
    kept = value is not None and _beats(value, part.spec["beat"], direction_of(measured.metric))
    if kept:
        _keep(context, trial.registered)
    else:
        for name in set(trial.written) - set(_ALWAYS_KEPT):
            context.artifact(name).unlink(missing_ok=True)
    if value is not None:
        context.metric(measured.metric, value, part.index + 1)
    return {
        **asdict(measured),
        "result": result.model_dump(mode="json") if kept else None,
        "model": _told(trial.registered[0]) if kept else None,
    }


def registered(told: Mapping[str, Any], folder: Path) -> TrainedModel:
    """The model that a trial told of, its files in ``folder``."""
    return TrainedModel(
        family=cast("Family", told["family"]),
        folder=folder,
        roles=told["roles"],
        metrics={name: math.nan if value is None else value for name, value in told["metrics"].items()},
        facts=told["facts"],
        checks=told["checks"],
    )


def _beats(value: float, best: float | None, direction: Direction) -> bool:
    return best is None or (value > best if direction == "maximize" else value < best)


@dataclass(frozen=True, slots=True)
class Measured:
    """How a training went, by its history: ``value`` is None where the loss was no number."""

    metric: Metric
    value: float | None
    epochs_run: int
    seconds: float


def read_history(path: Path, wanted: Metric | None) -> Measured:
    """The metric at the epoch whose weights the model has, that of the least validation loss.

    Raises InvalidParams where nothing was kept for validation, or the training has no such metric.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seconds = sum(_number(row.get("seconds")) or 0.0 for row in rows)
    metric: Metric = wanted or ("val_accuracy" if rows and "val_accuracy" in rows[0] else "val_loss")
    losses = [(loss, n) for n, row in enumerate(rows) if (loss := _number(row.get("val_loss"))) is not None]
    if not losses:
        if rows and all(_number(row.get("loss")) is not None for row in rows):
            raise InvalidParams(
                "Trials are compared on the validation part, and it has no rows: give a validation_split above 0.",
                field="params.fixed.validation_split",
            )
        return Measured(metric, None, len(rows), seconds)
    best = rows[min(losses)[1]]
    if metric not in best:
        has = ", ".join(name for name in _DIRECTIONS if name in best)
        raise InvalidParams(f"This training has no {metric}; it has {has}.", field="params.metric", received=metric)
    return Measured(metric, _number(best[metric]), len(rows), seconds)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _keep(context: Context, models: Sequence[TrainedModel]) -> None:
    if len(models) != 1:
        raise EngineFailed("The training registered no model.")
    for path in sorted(models[0].folder.rglob("*")):
        if path.is_file():
            shutil.copyfile(path, context.artifact(f"{MODEL}/{path.relative_to(models[0].folder).as_posix()}"))


def _told(model: TrainedModel) -> dict[str, Any]:
    return {
        "family": model.family,
        "roles": dict(model.roles),
        "metrics": {name: float(value) if math.isfinite(value) else None for name, value in model.metrics.items()},
        "facts": dict(model.facts),
        "checks": {name: float(value) for name, value in model.checks.items()},
    }
