from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from saccade_core.errors import InvalidParams
from saccade_models.networks.build import build, built, weightless
from saccade_models.networks.presets import PRESETS
from saccade_models.networks.shapes import describe
from saccade_models.networks.spec import Layer, Layers, names

READER: TypeAdapter[list[Layer]] = TypeAdapter(Layers)
ACTIVATIONS = ["linear", "step", "sign", "sigmoid", "tanh", "relu", "leaky_relu", "softmax"]


def read(*layers: dict[str, Any]) -> list[Layer]:
    return READER.validate_python(list(layers))


def assert_agrees(input_shape: tuple[int, ...], layers: list[Layer]) -> None:
    expected = describe(input_shape, layers)
    with weightless():
        model = build(input_shape, layers)
        assert built(model, layers) == [(layer.output_shape, layer.parameters) for layer in expected.layers]
        assert model.count_params() == expected.parameters
        assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == expected.trainable
        assert model.output_shape == (None, *expected.output_shape)


@pytest.mark.parametrize("name", list(PRESETS))
def test_keras_counts_every_preset_alike(name: str) -> None:
    assert_agrees(PRESETS[name].input_shape, PRESETS[name].layers())


size = st.integers(1, 4)
sizes = size | st.tuples(size, size)
padding = st.sampled_from(["valid", "same"])
activation = st.sampled_from(ACTIVATIONS)
layer = st.one_of(
    st.fixed_dictionaries({"type": st.just("dense"), "units": st.integers(1, 5), "activation": activation}),
    st.fixed_dictionaries(
        {
            "type": st.just("conv2d"),
            "filters": st.integers(1, 4),
            "kernel_size": sizes,
            "strides": sizes,
            "padding": padding,
            "activation": activation,
            "initializer": st.sampled_from(["glorot", "he"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["max_pool2d", "average_pool2d", "min_pool2d"]),
            "pool_size": sizes,
            "strides": st.none() | sizes,
            "padding": padding,
        }
    ),
    st.sampled_from([{"type": "flatten"}, {"type": "dropout"}, {"type": "batch_norm"}]),
    st.fixed_dictionaries({"type": st.just("activation"), "activation": activation}),
)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    side=st.tuples(st.integers(3, 12), st.integers(3, 12), st.integers(1, 3)), given_layers=st.lists(layer, max_size=6)
)
def test_keras_counts_any_network_alike(side: tuple[int, int, int], given_layers: list[dict[str, Any]]) -> None:
    layers: list[Layer] = []
    for one in given_layers:
        try:  # keep those that fit after the ones before
            describe(side, [*layers, *read(one)])
        except InvalidParams:
            continue
        layers += read(one)
    if layers:
        assert_agrees(side, layers)


def outputs(model: keras.Model, rows: Any) -> Any:
    return model.predict_on_batch(np.asarray(rows, dtype=np.float32))


def test_activations_give_what_their_names_say() -> None:
    rows = np.array([[-3.5, -1e-30, 0.0, 1e-30, 4.0]], dtype=np.float32)
    expected = {
        "linear": rows,
        "step": [[0, 0, 1, 1, 1]],
        "sign": [[-1, -1, 0, 1, 1]],
        "sigmoid": 1 / (1 + np.exp(-rows)),
        "tanh": np.tanh(rows),
        "relu": np.maximum(rows, 0),
        "leaky_relu": np.where(rows < 0, 0.05 * rows, rows),
        "softmax": np.exp(rows) / np.exp(rows).sum(),
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, values in expected.items():
        model = build((5,), read({"type": "activation", "activation": name, "alpha": 0.05}))
        np.testing.assert_allclose(outputs(model, rows), values, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("activation_name", ["step", "sign"])
def test_nothing_learns_before_a_step(activation_name: str) -> None:
    layers = read({"type": "dense", "units": 4, "activation": activation_name}, {"type": "dense", "units": 1})
    model = build((2,), layers, seed=1)
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.train_on_batch(np.array([[0.0, 0.0], [1.0, 0.0], [3.0, -2.0]]), np.array([[1.0], [2.0], [3.0]]))
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])


def test_min_pooling_takes_the_smallest_and_edges_do_not_count() -> None:
    picture = np.random.default_rng(1).normal(3, 1, (1, 5, 5, 2)).astype(np.float32)
    found = outputs(build((5, 5, 2), read({"type": "min_pool2d", "padding": "same"})), picture)
    assert found.shape == (1, 3, 3, 2)
    expected = [[picture[0, r : r + 2, c : c + 2].min(axis=(0, 1)) for c in (0, 2, 4)] for r in (0, 2, 4)]
    np.testing.assert_array_equal(found[0], expected)


def test_one_seed_gives_one_network() -> None:
    layers = read({"type": "dense", "units": 4}, {"type": "dense", "units": 4, "initializer": "he"})
    first, again, other, free = (build((4,), layers, seed=seed).get_weights() for seed in (7, 7, 8, None))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[0], free[0])
    assert not np.array_equal(first[0], build((4,), layers[:1] * 2, seed=7).get_weights()[2])


def test_initializers_spread_as_published() -> None:
    """Glorot uniform: limit sqrt(6 / (in + out)); he normal: deviation sqrt(2 / in)."""
    for initializer, deviation in (("glorot", np.sqrt(6 / 1000 / 3)), ("he", np.sqrt(2 / 500))):
        layers = read({"type": "dense", "units": 500, "initializer": initializer})
        assert build((500,), layers, seed=1).get_weights()[0].std() == pytest.approx(deviation, rel=0.02)


def test_every_layer_loads_from_h5_in_a_clean_process(tmp_path: Path) -> None:
    layers = read(
        {"type": "conv2d", "filters": 3, "activation": "step"},
        {"type": "min_pool2d"},
        {"type": "conv2d", "filters": 3, "kernel_size": 1, "activation": "leaky_relu", "alpha": 0.3},
        {"type": "average_pool2d", "pool_size": 1},
        {"type": "batch_norm"},
        {"type": "dropout"},
        {"type": "flatten"},
        {"type": "dense", "units": 4, "activation": "sign"},
        {"type": "activation", "activation": "softmax"},
    )
    rows = np.random.default_rng(1).normal(size=(4, 8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    model = build((8, 8, 1), layers, seed=2)
    model.save(tmp_path / "model.h5")
    code = (
        "import keras, numpy, sys; folder = sys.argv[1]\n"
        "model = keras.models.load_model(folder + '/model.h5', compile=False)\n"
        "assert 'saccade_models' not in sys.modules\n"
        "numpy.save(folder + '/outputs.npy', model.predict_on_batch(numpy.load(folder + '/rows.npy')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), outputs(model, rows))
    assert len(names(layers)) == 9


def test_weightless_networks_leave_nothing_behind() -> None:
    huge = read({"type": "dense", "units": 19_000})
    with weightless():
        assert build((10_000,), huge).count_params() == 190_019_000
    with keras.StatelessScope():
        pass  # would make the weights of the one above, were they still known
    assert build((2,), read({"type": "dense", "units": 2}), seed=1).count_params() == 6
