"""A trained network in all the forms it is used in, each compared with the ``.h5``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import onnxruntime as ort
import tensorflow as tf
from numpy.typing import NDArray

from saccade_models.networks.spec import INPUT_NAME, OUTPUT_NAME

Floats: TypeAlias = NDArray[np.float32]
_Predict: TypeAlias = Callable[[Floats], Floats]

#: A version's files by role, where they are; and the folder that TensorFlow Serving reads.
ROLES: Mapping[str, str] = {
    "weights": "model.h5",
    "keras": "model.keras",
    "onnx": "model.onnx",
    "preprocess": "preprocess.json",
}
SAVED_MODEL = "saved_model"
#: Held-out rows that forms are compared on, and how many at once.
MOST_ROWS, _BATCH = 1024, 128


def roles(folder: Path) -> dict[str, str]:
    """``TrainedModel.roles`` of the files that ``folder`` has."""
    return {role: name for role, name in ROLES.items() if (folder / name).is_file()}


def write_forms(
    model: keras.Model,
    folder: Path,
    held_out: Floats,
    check_cancelled: Callable[[], None],
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """Write ``model``, of one input and one output, into ``folder`` and give ``TrainedModel.checks``.

    ``saved_model`` has the signature ``serving_default``: ``inputs``, float32 of any batch size, to ``outputs``.
    A network that does not convert to ONNX goes without; ``log`` gets a line of it. Every form is read again, and its
    outputs on ``held_out`` (N, ...), of which the first ``MOST_ROWS`` count, are compared with those of the ``.h5``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / ROLES["keras"])
    check_cancelled()
    _write_saved_model(model, folder / SAVED_MODEL)
    check_cancelled()
    _write_onnx(model, folder / ROLES["onnx"], log)
    check_cancelled()
    # Last: a model that was saved as .h5 can neither be trained on nor keep its optimizer in a .keras.
    model.save(folder / ROLES["weights"])
    return _checks(folder, np.asarray(held_out[:MOST_ROWS], dtype=np.float32), check_cancelled)


def difference(outputs: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest absolute difference, as part of the largest of ``wanted`` where that is above 1.

    Equal infinities and two NaN do not differ; another shape, or one that is not finite, differs by the largest float.
    """
    if outputs.shape != wanted.shape:
        return sys.float_info.max
    same = (outputs == wanted) | (np.isnan(outputs) & np.isnan(wanted))
    if same.all():
        return 0.0
    if not (np.isfinite(outputs[~same]).all() and np.isfinite(wanted[~same]).all()):
        return sys.float_info.max
    scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max()))
    return float(np.abs(outputs[~same].astype(np.float64) - wanted[~same]).max()) / scale


def _checks(folder: Path, rows: Floats, check_cancelled: Callable[[], None]) -> dict[str, float]:
    wanted = _outputs(_of_keras(folder / ROLES["weights"]), rows, check_cancelled)
    readers: dict[str, Callable[[Path], _Predict]] = {
        ROLES["keras"]: _of_keras,
        SAVED_MODEL: _of_saved_model,
        ROLES["onnx"]: of_onnx,
    }
    return {
        name: difference(_outputs(reader(folder / name), rows, check_cancelled), wanted)
        for name, reader in readers.items()
        if (folder / name).exists()
    }


def _outputs(predict: _Predict, rows: Floats, check_cancelled: Callable[[], None]) -> Floats:
    """Of all ``rows``, batch by batch; at least one row is needed."""
    found: list[Floats] = []
    for start in range(0, len(rows), _BATCH):
        check_cancelled()
        found.append(predict(rows[start : start + _BATCH]))
    return np.concatenate(found)


def _exported(model: keras.Model) -> tuple[keras.Model, list[keras.InputSpec]]:
    """``model`` as it predicts, with a named output, and its named input, the batch size free."""
    shape = tuple(model.inputs[0].shape[1:])
    inputs = keras.Input(shape, name=INPUT_NAME)
    # Said outright: an exported network would else be one that trains, whose pictures are augmented.
    predicting = keras.Model(inputs, {OUTPUT_NAME: model(inputs, training=False)})
    return predicting, [keras.InputSpec(shape=(None, *shape), dtype="float32", name=INPUT_NAME)]


def _write_saved_model(model: keras.Model, folder: Path) -> None:
    predicting, signature = _exported(model)
    predicting.export(str(folder), input_signature=signature, verbose=False)


def _write_onnx(model: keras.Model, path: Path, log: Callable[[str], None]) -> None:
    predicting, signature = _exported(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Keras asks numpy for names that it had before
            predicting.export(str(path), format="onnx", input_signature=signature, verbose=False)
        of_onnx(path)  # the converter writes operations that it does not know as they are
    except Exception as error:  # noqa: BLE001  the converter raises whatever it likes, and the form is optional
        path.unlink(missing_ok=True)
        log(f"The network does not convert to ONNX, and goes without it ({type(error).__name__}).")


def _of_keras(path: Path) -> _Predict:
    model: Any = keras.models.load_model(path, compile=False, safe_mode=True)
    return lambda rows: np.asarray(model.predict_on_batch(rows))


def _of_saved_model(folder: Path) -> _Predict:
    loaded: Any = tf.saved_model.load(str(folder))

    def predict(rows: Floats) -> Floats:
        # Through the loaded object: its variables live no longer than it does.
        given = {INPUT_NAME: tf.constant(rows)}
        return loaded.signatures["serving_default"](**given)[OUTPUT_NAME].numpy()

    return predict


def of_onnx(path: Path) -> _Predict:
    """What an ONNX file of one input and one output makes of rows."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: np.asarray(session.run(None, {name: rows})[0])
