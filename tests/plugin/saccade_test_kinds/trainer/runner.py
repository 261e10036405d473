"""Writes the files of a model and registers them as told."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part
from saccade_core.trained import TrainedModel
from saccade_test_kinds.gates import wait_at
from saccade_test_kinds.trainer.contract import TrainerParams, TrainerResult


def run(inputs: Inputs, params: TrainerParams, context: Context) -> TrainerResult:
    """Register, wait, then die or end."""
    ref = context.registers
    if params.wrong != "nothing":
        model = _model(params, context.scratch / "model")
        context.register(model)
        if params.wrong == "twice":
            context.register(model)
    wait_at(params.gate, context)
    if params.die:
        os.kill(os.getpid(), signal.SIGKILL)
    return TrainerResult(model=ref)


def plan(inputs: Inputs, params: TrainerParams, context: Context) -> list[Part]:
    """As many parts as asked for."""
    return [Part(index, {}) for index in range(params.parts)]


def run_part(inputs: Inputs, params: TrainerParams, context: Context, part: Part) -> dict[str, Any]:
    """Tell which version the job's model will be."""
    if params.register_in_part:
        context.register(_model(params, context.scratch / "model"))
    return context.registers.model_dump()


def join(inputs: Inputs, params: TrainerParams, context: Context, parts: Sequence[DonePart]) -> TrainerResult:
    """Register what all parts agreed on."""
    assert {tuple(part.result.items()) for part in parts} == {tuple(context.registers.model_dump().items())}
    return run(inputs, params, context)


def _model(params: TrainerParams, folder: Path) -> TrainedModel:
    (folder / "saved_model").mkdir(parents=True)
    (folder / "model.h5").write_text(params.text)
    (folder / "saved_model" / "saved_model.pb").write_text("graph")
    (folder / "preprocess.json").write_text("{}")
    model = TrainedModel(
        family=params.family,
        folder=folder,
        roles={"weights": "model.h5", "preprocess": "preprocess.json"},
        metrics={"accuracy": float("nan") if params.wrong == "nan" else 0.86},
        facts={"labels": ["0", "1"]},
        checks={"saved_model": 0.0},
    )
    match params.wrong:
        case "link":
            (folder / "passwd").symlink_to("/etc/passwd")
        case "folder_link":
            (folder / "etc").symlink_to("/etc")
        case "outside":
            return replace(model, folder=folder.parents[1])
        case "role":
            return replace(model, roles={"weights": "../model.h5"})
        case "family":
            return replace(model, family=cast("Any", "pickle"))
        case "file_name":
            (folder / "a b").touch()
        case "facts":
            return replace(model, facts={"labels": ["x" * 1000] * 1000})
        case _:
            pass
    return model
