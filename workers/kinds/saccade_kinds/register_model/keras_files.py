"""Keras models from outside: checked before Keras sees them, sized without memory, then loaded in safe mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_kinds.register_model.hdf5 import check_hdf5, config_of
from saccade_kinds.register_model.opening import MAX_BYTES, refuse, refuse_pickle
from saccade_kinds.register_model.stock import MAX_CONFIG, check_config
from saccade_models.archives import ArchiveLimits, open_archive
from saccade_models.networks.build import weightless
from saccade_models.networks.shapes import MAX_PARAMETERS, MAX_VALUES

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_LIMITS = ArchiveLimits(files=100, bytes=MAX_BYTES, file_bytes=MAX_BYTES)


def load_h5(file: InputFile, folder: Path, step: Callable[[], None]) -> keras.Model:
    """A ``.h5`` model, checked; ``folder`` is private. Raises UntrustedModel, UnreadableInput or InputTooLarge."""
    check_hdf5(file.path, file)
    check_config(config_of(file.path, file), file)
    return _load(file, folder / "given.h5", step)


def load_keras(file: InputFile, folder: Path, step: Callable[[], None]) -> keras.Model:
    """A ``.keras`` model, checked, as ``load_h5``."""
    with open_archive(file, _LIMITS) as archive:
        if any(name.endswith(".pkl") for name in archive.names):
            refuse_pickle(file)
        if others := set(archive.names) - {_CONFIG, _WEIGHTS, _METADATA}:
            refuse(file, f"it has {min(others)[:80]!r}, which no model of stock layers needs")
        if not {_CONFIG, _WEIGHTS} <= set(archive.names):
            raise UnreadableInput(
                f"A .keras file has {_CONFIG} and {_WEIGHTS}.", field=file.field, received=list(archive.names)
            )
        check_config(archive.read(_CONFIG, MAX_CONFIG), file)
        weights = archive.extract(folder / "weights", [_WEIGHTS], step)[_WEIGHTS]
    check_hdf5(weights, file)
    weights.unlink()
    return _load(file, folder / "given.keras", step)


def _load(file: InputFile, path: Path, step: Callable[[], None]) -> keras.Model:
    """The model, of one input and one output; ``path`` has the suffix that Keras asks for."""
    path.symlink_to(file.path)
    step()
    with weightless():
        _check_size(_read(path, file), file)
    step()
    model = _read(path, file)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise UnreadableInput(
            "The model has weights that are not finite numbers.", field=file.field, received=file.name
        )
    return model


def _read(path: Path, file: InputFile) -> keras.Model:
    try:
        model: Any = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = str(error).replace(str(path), file.name).strip().split("\n")[0][:200]
        raise UnreadableInput(f"Keras cannot load the model: {reason}", field=file.field, received=file.name) from error
    _check_ends(model, file)
    return model


def _check_ends(model: Any, file: InputFile) -> None:
    """Raise UnreadableInput unless there is one input of known shape but for the batch, and one output (N, units)."""
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    shapes: list[tuple[int | None, ...]] = [tuple(tensor.shape) for tensor in (*inputs, *outputs)]
    fits = len(inputs) == len(outputs) == 1 and len(shapes[0]) in {2, 4} and len(shapes[1]) == 2
    if not (fits and all(map(_is_known, shapes))):
        raise UnreadableInput(
            "A model takes one input, (batch, features) or (batch, height, width, channels), and gives one output, "
            "(batch, units); the batch is free, all else known.",
            field=file.field,
            received=[list(shape) for shape in shapes[:10]],
        )


def _is_known(shape: tuple[int | None, ...]) -> bool:
    return shape[0] is None and None not in shape[1:]


def _check_size(model: keras.Model, file: InputFile) -> None:
    count = model.count_params()
    if count > MAX_PARAMETERS:
        raise InputTooLarge(
            f"A model may have at most {MAX_PARAMETERS:,} parameters.", field=file.field, received=count
        )
    shapes = [tuple(model.inputs[0].shape), *_shapes(model)]
    largest = max(prod(side or 1 for side in shape) for shape in shapes)
    if largest > MAX_VALUES:
        raise InputTooLarge(
            f"A layer may give at most {MAX_VALUES:,} values for one input.", field=file.field, received=largest
        )


def _shapes(model: Any) -> Iterator[tuple[int | None, ...]]:
    """Output shapes of all layers, those of models in the model too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _shapes(layer)
        outputs = layer.output
        for tensor in outputs if isinstance(outputs, list) else [outputs]:
            yield tuple(tensor.shape)
