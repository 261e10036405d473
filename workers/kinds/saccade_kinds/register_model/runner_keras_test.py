from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers as stock
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_core.trained import may_serve
from saccade_kinds.register_model.contract import RegisterModelParams, RegisterModelResult
from saccade_kinds.register_model.runner import run
from saccade_models.networks.build import build
from saccade_models.networks.presets import preset
from saccade_models.serving.answers import decode
from saccade_models.serving.preprocess import load_preprocess
from saccade_models.tables.encode import TableInput

SAMPLE = Path(__file__).parent / "sample" / "flowers.h5"
FLOWERS = ["setosa", "versicolor", "virginica"]
#: Middles of the three clusters of which the sample knows which is which.
MEASURES = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.5, 2.0]], dtype=np.float32)


def register(model: Path, folder: Path, **params: Any) -> tuple[RegisterModelResult, LocalContext]:
    context = LocalContext(folder / "run")
    given = RegisterModelParams.model_validate({"name": "model", **params})
    return run(inputs_of(model=model), given, context), context


def save(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def test_an_h5_becomes_a_served_model_with_its_labels(tmp_path: Path) -> None:
    found, context = register(SAMPLE, tmp_path, labels=FLOWERS)
    assert (found.format, found.family, found.task, found.labels) == ("h5", "tabular", "multiclass", FLOWERS)
    assert (found.input_shape, found.output_shape, found.parameters) == ([4], [3], 5 * 6 + 7 * 3)
    assert found.servable and [form.name for form in found.forms] == [
        "model.h5",
        "model.keras",
        "saved_model",
        "model.onnx",
    ]
    assert (tmp_path / "run" / "artifacts" / "model.h5").stat().st_size > 1000

    [registered] = context.registered
    assert may_serve(registered.checks) and registered.family == "tabular" and registered.metrics == {}
    assert set(registered.roles) == {"weights", "keras", "onnx", "preprocess"}
    assert {key: registered.facts[key] for key in ("labels", "task")} == {"labels": FLOWERS, "task": "multiclass"}
    encode = load_preprocess(registered.folder / "preprocess.json")
    assert isinstance(encode, TableInput)
    rows = encode.encode_rows([dict(zip(("x1", "x2", "x3", "x4"), map(float, row), strict=True)) for row in MEASURES])
    served: Any = tf.saved_model.load(str(registered.folder / "saved_model"))
    outputs = served.signatures["serving_default"](inputs=tf.constant(rows, tf.float32))["outputs"].numpy()
    assert [answer.label for answer in decode(encode, outputs.tolist(), top_k=1)] == FLOWERS


def test_a_keras_file_of_pictures_with_a_network_in_the_network(tmp_path: Path) -> None:
    inner = build((16, 16, 3), preset("cnn_pool").layers(8, "relu"), seed=1, name="backbone")
    inputs = keras.Input((16, 16, 3), name="photo")
    outputs = stock.Dense(1, activation="sigmoid")(stock.Dropout(0.2)(inner(stock.RandomFlip()(inputs))))
    found, context = register(save(keras.Model(inputs, outputs), tmp_path / "m.keras"), tmp_path, labels=["cat", "dog"])
    assert (found.family, found.task, found.input_shape, found.servable) == ("classifier", "binary", [16, 16, 3], True)
    taken = load_preprocess(context.registered[0].folder / "preprocess.json")
    assert taken.model_dump(include={"height", "width", "channels", "labels"}) == {
        "height": 16,
        "width": 16,
        "channels": 3,
        "labels": ["cat", "dog"],
    }
    assert any("divided by 255" in note for note in found.notes)


def test_what_the_outputs_mean_where_nothing_is_said(tmp_path: Path) -> None:
    value, _ = register(save(build((2,), preset("7_7_1").layers()), tmp_path / "v.h5"), tmp_path / "value")
    assert (value.task, value.labels) == ("regression", [])
    classes, _ = register(SAMPLE, tmp_path / "classes")
    assert (classes.task, classes.labels) == ("multiclass", ["0", "1", "2"])


def test_a_stated_preprocess_is_kept_and_must_fit(tmp_path: Path) -> None:
    column = {"type": "number", "median": 0, "mean": 5, "std": 2}
    stated = {
        "kind": "table",
        "columns": [{**column, "name": name} for name in ("sepal", "width", "petal", "breadth")],
        "target": "species",
        "task": "multiclass",
        "labels": FLOWERS,
    }
    found, context = register(SAMPLE, tmp_path, preprocess=stated)
    kept = load_preprocess(context.registered[0].folder / "preprocess.json").model_dump(mode="json")
    assert kept["columns"][0]["name"] == "sepal" and found.labels == FLOWERS and not found.notes
    for wrong, field in (
        ({"columns": stated["columns"][:3]}, "params.preprocess"),
        ({"labels": FLOWERS[:2]}, "params.preprocess.labels"),
        ({"task": "regression"}, "params.preprocess.task"),
    ):
        with pytest.raises(InvalidParams) as caught:
            register(SAMPLE, tmp_path / field, preprocess={**stated, **wrong})
        assert caught.value.field == field


def test_labels_must_be_as_many_as_outputs(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="3 outputs, which needs 3 labels") as caught:
        register(SAMPLE, tmp_path, labels=["a", "b"])
    assert (caught.value.field, caught.value.received) == ("params.labels", 2)
    with pytest.raises(ValidationError, match="unique"):
        RegisterModelParams.model_validate({"name": "m", "labels": ["a", "a"]})
    with pytest.raises(ValidationError, match="name"):
        RegisterModelParams.model_validate({"labels": ["a", "b"]})


def onnx_model(path: Path, shape: list[Any], units: int = 2, **weights: Any) -> Path:
    """(batch, features) times a matrix, through a softmax."""
    matrix = np.ones((shape[-1], units), dtype=np.float32) * np.arange(units, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "w"], ["sums"]), helper.make_node("Softmax", ["sums"], ["chances"])],
        "graph",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, [shape[0], units])],
        [weights.get("w") or numpy_helper.from_array(matrix, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    return path


def test_an_onnx_model_is_kept_and_not_served(tmp_path: Path) -> None:
    found, context = register(onnx_model(tmp_path / "m.onnx", ["batch", 3]), tmp_path, labels=["no", "yes"])
    assert (found.format, found.parameters, found.servable) == ("onnx", 6, False)
    [registered] = context.registered
    assert registered.roles["weights"] == registered.roles["onnx"] == "model.onnx"
    assert not may_serve(registered.checks) and any("does not serve" in note for note in found.notes)
    assert (registered.folder / "model.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_models_of_other_ends_are_refused(tmp_path: Path) -> None:
    one, other = keras.Input((2,)), keras.Input((2,))
    wrong = {
        "two": keras.Model([one, other], stock.Dense(1)(stock.Concatenate()([one, other]))),
        "open": keras.Sequential([keras.Input((None, None, 3)), stock.GlobalAveragePooling2D(), stock.Dense(2)]),
        "long": keras.Sequential([keras.Input((4, 4, 1)), stock.Conv2D(2, 2)]),
        "batch": keras.Sequential([keras.Input(batch_shape=(8, 2)), stock.Dense(1)]),
    }
    for name, model in wrong.items():
        with pytest.raises(UnreadableInput, match="one input"):
            register(save(model, tmp_path / f"{name}.h5"), tmp_path / name)
    with pytest.raises(UnreadableInput, match="free batch"):
        register(onnx_model(tmp_path / "fixed.onnx", [4, 3]), tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = build((2,), preset("perceptron").layers())
    model.layers[-1].set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    with pytest.raises(UnreadableInput, match="not finite"):
        register(save(model, tmp_path / "nan.h5"), tmp_path)


def test_cancelling_ends_before_anything_is_registered(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, cancel_after=2)
    with pytest.raises(Cancelled):
        run(inputs_of(model=SAMPLE), RegisterModelParams(name="m"), context)
    assert not context.registered and not list(context.artifacts.iterdir())


def test_an_onnx_file_of_ours_is_one_that_we_take(tmp_path: Path) -> None:
    _, first = register(SAMPLE, tmp_path / "first")
    found, _ = register(first.registered[0].folder / "model.onnx", tmp_path / "again")
    assert (found.input_shape, found.output_shape, found.parameters) == ([4], [3], 51)
    onnx.checker.check_model(str(first.registered[0].folder / "model.onnx"))
