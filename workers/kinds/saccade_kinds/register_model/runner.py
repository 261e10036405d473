"""Runs ``register_model``."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from saccade_core.errors import UnreadableInput
from saccade_core.kind import Context, InputFile, Inputs
from saccade_core.trained import TrainedModel, may_serve
from saccade_kinds.register_model.contract import RegisterModelForm, RegisterModelParams, RegisterModelResult
from saccade_kinds.register_model.keras_files import load_h5, load_keras
from saccade_kinds.register_model.meaning import Meaning, meaning_of
from saccade_kinds.register_model.onnx_files import check_onnx
from saccade_kinds.register_model.opening import Format, Network, format_of
from saccade_models.training.forms import ROLES, of_onnx, roles, write_forms

#: Made-up rows that forms are compared on, and the most values of all of them.
_ROWS, _VALUES = 64, 1 << 24
_STEPS = 4


def run(inputs: Inputs, params: RegisterModelParams, context: Context) -> RegisterModelResult:
    """Check, load, convert, compare; raises UntrustedModel where the file could run code, UnreadableInput or
    InputTooLarge where it is no model of ours, InvalidParams where labels or preprocess do not fit it."""
    file = inputs.one("model")
    context.progress(0, _STEPS, "checking")
    found = format_of(file)
    folder = context.scratch / "model"
    folder.mkdir()
    if found == "onnx":
        return _register_onnx(file, params, folder, context)
    return _register_keras(file, found, params, folder, context)


def _register_keras(
    file: InputFile, found: Format, params: RegisterModelParams, folder: Path, context: Context
) -> RegisterModelResult:
    context.uses_model("keras", keras.__version__)
    model = (load_h5 if found == "h5" else load_keras)(file, context.scratch, context.check_cancelled)
    network = Network(found, tuple(model.inputs[0].shape[1:]), int(model.outputs[0].shape[1]), model.count_params())
    meaning = meaning_of(params, network)
    context.progress(1, _STEPS, "converting and comparing")
    checks = write_forms(model, folder, _rows(network.input_shape), context.check_cancelled, meaning.notes.append)
    return _registered(network, meaning, folder, checks, context)


def _register_onnx(file: InputFile, params: RegisterModelParams, folder: Path, context: Context) -> RegisterModelResult:
    context.uses_model("onnxruntime", ort.__version__)
    network = check_onnx(file)
    meaning = meaning_of(params, network)
    context.progress(1, _STEPS, "trying")
    try:
        outputs = of_onnx(file.path)(_rows(network.input_shape)[:2])
    except Exception as error:
        raise UnreadableInput("ONNX Runtime cannot run the model.", field=file.field, received=file.name) from error
    if outputs.shape != (2, network.units):
        raise UnreadableInput(
            f"The model says that it gives {(2, network.units)} for two rows.",
            field=file.field,
            received=list(outputs.shape),
        )
    shutil.copyfile(file.path, folder / ROLES["onnx"])
    meaning.notes.append("An ONNX model is kept as it is: without a SavedModel the model server does not serve it.")
    return _registered(network, meaning, folder, {}, context)


def _rows(input_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Made-up inputs: standardised features, or pictures of values 0..1."""
    count = max(2, min(_ROWS, _VALUES // int(np.prod(input_shape))))
    rng = np.random.default_rng(0)
    if len(input_shape) == 1:
        return rng.standard_normal((count, *input_shape), dtype=np.float32)
    return rng.random((count, *input_shape), dtype=np.float32)


def _registered(
    network: Network, meaning: Meaning, folder: Path, checks: dict[str, float], context: Context
) -> RegisterModelResult:
    """Register what is in ``folder``, with its artefacts."""
    if meaning.preprocess is not None:
        (folder / ROLES["preprocess"]).write_text(meaning.preprocess.model_dump_json(indent=1), "utf-8")
    context.progress(2, _STEPS, "storing")
    kept = roles(folder)
    for role in ("weights", "onnx", "preprocess"):
        if role in kept:
            shutil.copyfile(folder / kept[role], context.artifact(kept[role]))
    context.progress(3, _STEPS, "registering")
    facts = {
        "labels": meaning.labels,
        "task": meaning.task,
        "input_shape": list(network.input_shape),
        "parameters": network.parameters,
        "source": f"from outside, .{network.format}",
    }
    weights = {"weights": kept.get("weights", ROLES["onnx"])}
    context.register(TrainedModel(meaning.family, folder, {**kept, **weights}, {}, facts, checks))
    context.progress(_STEPS, _STEPS, "done")
    forms = [RegisterModelForm(name=weights["weights"], difference=None)]
    return RegisterModelResult(
        format=network.format,
        family=meaning.family,
        task=meaning.task,
        labels=meaning.labels,
        input_shape=list(network.input_shape),
        output_shape=[network.units],
        parameters=network.parameters,
        forms=[*forms, *(RegisterModelForm(name=name, difference=value) for name, value in checks.items())],
        servable=may_serve(checks),
        notes=meaning.notes,
        model=context.registers,
    )
