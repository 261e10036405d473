"""A model's outputs: from the model server, or where none is set up from the model's ONNX form."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import EngineFailed, Unavailable, UnknownModel
from saccade_core.kind import Context, ModelFiles
from saccade_models.serving.client import ServingClient

Array = NDArray[np.float32]
Ask = Callable[[Array], Array]
"""Inputs (N, ...) to outputs (N, M), both float32."""

#: A version that is not loaded, and a server that is away, are waited for so long.
_WAIT_S = 120.0
_LOOK_EVERY_S = 0.25


def asker(model: ModelFiles, context: Context) -> Ask:
    """What answers for the model. Raises EngineFailed where nothing here can."""
    address = os.environ.get("SACCADE_SERVING_URL")
    if address:
        client = _client(address)
        return lambda inputs: _served(client, model, inputs, context)
    if "onnx" in model.files:
        return _local(model.files["onnx"], context, model)
    raise EngineFailed("No model server is set up (SACCADE_SERVING_URL), and the model has no ONNX form.")


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
        except (UnknownModel, Unavailable):
            if time.monotonic() >= limit:
                raise Unavailable(f"The model server has not loaded {model.name}@{model.version} yet.") from None
        context.check_cancelled()
        time.sleep(_LOOK_EVERY_S)


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
