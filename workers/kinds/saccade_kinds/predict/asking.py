"""A model's outputs: from the model server, or where none is set up from the model's ONNX form."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import EngineFailed, NotServable, Unavailable, UnknownModel
from saccade_core.kind import Context, ModelFiles
from saccade_models.serving.client import ServingClient

Array = NDArray[np.float32]
Ask = Callable[[Array], Array]
"""Inputs (N, ...) to outputs (N, M), both float32."""

#: A version that is not loaded, and a server that is away, are waited for so long.
_WAIT_S = 120.0
_LOOK_EVERY_S = 0.25


def asker(model: ModelFiles, context: Context) -> Ask:
    """What answers for the model. Raises NotServable where nothing here can."""
    address = os.environ.get("SACCADE_SERVING_URL")
    shown = f"{model.name}@{model.version}"
    if not model.facts.get("may_serve"):
        why = f"{shown} may not be served: its SavedModel was not compared, or differs"
    elif not address:
        why = "No model server is set up (SACCADE_SERVING_URL)"
    elif model.facts.get("serving_error"):
        why = f"The model server cannot load {shown} ({model.facts['serving_error']})"
    else:
        client = _client(address)
        return lambda inputs: _served(client, model, inputs, context)
    if "onnx" in model.files:
        return _local(model.files["onnx"], context, model)
    raise NotServable(f"{why}; and the model has no ONNX form.", field="params.model", received=shown)


@cache
def _client(address: str) -> ServingClient:
    return ServingClient(address)


def _served(client: ServingClient, model: ModelFiles, inputs: Array, context: Context) -> Array:
    name = str(model.facts["served_name"])
    limit = time.monotonic() + _WAIT_S
    while True:
        try:
            found = client.predict(name, inputs.tobytes(), inputs.shape, version=int(model.version))
            return _checked(np.frombuffer(found.data, np.float32).reshape(found.shape), len(inputs))
        except UnknownModel:
            _require_loadable(client, model)
            if time.monotonic() >= limit:
                raise _not_yet(model) from None
        except Unavailable:
            if time.monotonic() >= limit:
                raise _not_yet(model) from None
        context.check_cancelled()
        time.sleep(_LOOK_EVERY_S)


def _require_loadable(client: ServingClient, model: ModelFiles) -> None:
    """Raise NotServable where the server has tried the version in vain."""
    with suppress(Unavailable):
        for status in client.status(str(model.facts["served_name"])):
            if status.version == int(model.version) and status.failed:
                raise NotServable(
                    f"The model server cannot load {model.name}@{model.version}: {status.error}", field="params.model"
                )


def _not_yet(model: ModelFiles) -> Unavailable:
    return Unavailable(f"The model server has not loaded {model.name}@{model.version} yet.")


def _local(path: Path, context: Context, model: ModelFiles) -> Ask:
    session: Any = _session(str(path), model.sha256)
    name: str = session.get_inputs()[0].name
    context.uses_model("onnxruntime", str(_runtime().__version__))
    return lambda inputs: _checked(np.asarray(session.run(None, {name: inputs})[0], np.float32), len(inputs))


def _runtime() -> Any:
    import onnxruntime

    return onnxruntime


@cache
def _session(path: str, _sha256: str) -> Any:
    options = _runtime().SessionOptions()
    options.intra_op_num_threads = 1
    return _runtime().InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _checked(outputs: Array, rows: int) -> Array:
    if outputs.ndim < 1 or outputs.shape[0] != rows:
        raise EngineFailed(f"The model gave outputs of shape {list(outputs.shape)} for {rows} rows.")
    return outputs.reshape(rows, -1)
