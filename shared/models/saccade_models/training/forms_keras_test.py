from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from saccade_core.errors import Cancelled
from saccade_core.trained import MAX_DIFFERENCE, may_serve
from saccade_models.networks.build import build
from saccade_models.networks.presets import preset
from saccade_models.networks.spec import BatchNorm, Dense, Dropout
from saccade_models.training.forms import ROLES, SAVED_MODEL, difference, of_onnx, roles, write_forms

RNG = np.random.default_rng(0)


def never() -> None:
    """Nobody cancels."""


def trained() -> keras.Model:
    layers = [Dense(units=8, activation="relu"), BatchNorm(), Dropout(), Dense(units=3, activation="softmax")]
    model = build((5,), layers, seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(RNG.normal(size=(64, 5)), RNG.integers(0, 3, 64), epochs=2)
    return model


def test_every_form_gives_what_the_h5_gives(tmp_path: Path) -> None:
    model, rows, logged = trained(), RNG.normal(size=(300, 5)).astype(np.float32), list[str]()
    checks = write_forms(model, tmp_path / "model", rows, never, logged.append)
    assert set(checks) == {"model.keras", "saved_model", "model.onnx"} and not logged
    assert checks["model.keras"] == 0 and max(checks.values()) <= MAX_DIFFERENCE and may_serve(checks)
    (tmp_path / "model" / "preprocess.json").write_text("{}")
    assert roles(tmp_path / "model") == ROLES

    wanted = model.predict_on_batch(rows)
    loaded: Any = keras.models.load_model(tmp_path / "model" / "model.keras")
    assert loaded.optimizer.iterations == 4
    np.testing.assert_array_equal(loaded.predict_on_batch(rows), wanted)
    np.testing.assert_allclose(of_onnx(tmp_path / "model" / "model.onnx")(rows[:1]), wanted[:1], atol=1e-6)
    served: Any = tf.saved_model.load(str(tmp_path / "model" / SAVED_MODEL))
    signature = served.signatures["serving_default"]
    assert signature.structured_input_signature[1]["inputs"].shape.as_list() == [None, 5]
    for count in (1, 7):
        found = signature(inputs=tf.constant(rows[:count]))
        assert list(found) == ["outputs"]
        np.testing.assert_allclose(found["outputs"].numpy(), wanted[:count], atol=1e-6)


def test_the_h5_predicts_the_same_in_a_clean_process(tmp_path: Path) -> None:
    model = build((28, 28, 1), preset("cnn_pool").layers(), seed=3)
    rows = RNG.random((16, 28, 28, 1), dtype=np.float32)
    checks = write_forms(model, tmp_path, rows, never)
    assert may_serve(checks) and checks["model.onnx"] <= MAX_DIFFERENCE
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import keras, numpy, sys; folder = sys.argv[1]\n"
        "model = keras.models.load_model(folder + '/model.h5')\n"
        "numpy.save(folder + '/outputs.npy', model.predict_on_batch(numpy.load(folder + '/rows.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model.predict_on_batch(rows))


def test_exported_networks_do_not_augment(tmp_path: Path) -> None:
    """Keras' own export leaves layers that augment at work."""
    inputs = keras.Input((4, 4, 1))
    flipped = keras.layers.RandomRotation(0.5)(keras.layers.RandomFlip()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(flipped)))
    checks = write_forms(model, tmp_path, RNG.random((64, 4, 4, 1), dtype=np.float32), never)
    assert set(checks) == {"model.keras", "saved_model", "model.onnx"} and max(checks.values()) <= MAX_DIFFERENCE


def test_a_network_that_does_not_convert_goes_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resizing by Lanczos' filter is no operation of ONNX."""
    inputs = keras.Input((8, 8, 1))
    resized = keras.layers.Resizing(5, 5, interpolation="lanczos5", antialias=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(resized)))
    logged: list[str] = []
    checks = write_forms(model, tmp_path, RNG.random((3, 8, 8, 1), dtype=np.float32), never, logged.append)
    assert set(checks) == {"model.keras", "saved_model"} and may_serve(checks)
    assert len(logged) == 1 and "ONNX" in logged[0]
    assert roles(tmp_path) == {"weights": "model.h5", "keras": "model.keras"}


def test_cancelling_ends_between_forms(tmp_path: Path) -> None:
    calls = 0

    def second() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        write_forms(build((2,), [Dense(units=1)], seed=1), tmp_path, np.zeros((1, 2), np.float32), second)
    assert (tmp_path / "saved_model").is_dir() and not (tmp_path / "model.h5").exists()


@pytest.mark.parametrize(
    ("outputs", "wanted", "expected"),
    [
        ([0.5, 0.25], [0.5, 0.25], 0),
        ([0.5, 0.26], [0.5, 0.25], 0.01),
        ([1000.0, 2010.0], [1000.0, 2000.0], 0.005),
        ([np.nan, np.inf, 1.5], [np.nan, np.inf, 1.0], 0.5),
        ([np.nan, 1.0], [1.0, 1.0], sys.float_info.max),
        ([np.inf], [-np.inf], sys.float_info.max),
        ([1.0], [1.0, 1.0], sys.float_info.max),
    ],
)
def test_differences_are_parts_of_the_largest_output(
    outputs: list[float], wanted: list[float], expected: float
) -> None:
    assert difference(np.array(outputs), np.array(wanted)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("checks", "serves"),
    [
        ({"saved_model": 0.0}, True),
        ({"saved_model": 1e-5, "model.onnx": 1.0}, True),
        ({"saved_model": 1.1e-5, "model.onnx": 0.0}, False),
        ({"model.onnx": 0.0}, False),
        ({"saved_model": float("nan")}, False),
        ({}, False),
    ],
)
def test_what_may_be_served(checks: dict[str, float], serves: bool) -> None:
    assert may_serve(checks) is serves
