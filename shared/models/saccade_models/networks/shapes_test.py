from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from saccade_core.errors import InvalidParams
from saccade_models.networks.presets import ALIASES, PRESETS, PresetChoice, output_layer, preset
from saccade_models.networks.shapes import Description, describe
from saccade_models.networks.spec import Layer, Layers

READER: TypeAdapter[list[Layer]] = TypeAdapter(Layers)


def described(input_shape: tuple[int, ...], *layers: dict[str, Any]) -> Description:
    return describe(input_shape, READER.validate_python(list(layers)))


def conv(filters: int = 1, kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": kernel, **more}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("tabular_11_11_11_1", [132, 132, 12]),
        ("7_7_1", [56, 8]),
        ("perceptron", [3]),
        ("mlp", [192, 2080, 33]),
        ("cnn_valid", [320, 4624, 1160, 0, 495_744, 1290]),
        ("cnn_same", [320, 4624, 1160, 0, 802_944, 1290]),
        ("cnn_pool", [320, 0, 4624, 0, 0, 51_328, 1290]),
    ],
)
def test_presets_have_their_exact_counts(name: str, counts: list[int]) -> None:
    chosen = PRESETS[name]
    found = describe(chosen.input_shape, chosen.layers())
    assert [layer.parameters for layer in found.layers] == counts
    assert found.parameters == found.trainable == sum(counts)
    assert found.output_shape == (chosen.outputs,)


def test_the_counts_of_the_design() -> None:
    totals = {name: describe(p.input_shape, p.layers()).parameters for name, p in PRESETS.items()}
    assert totals["tabular_11_11_11_1"] == 276
    assert totals["7_7_1"] == 64
    assert (totals["cnn_valid"], totals["cnn_same"], totals["cnn_pool"]) == (503_138, 810_338, 57_562)


def test_presets_by_other_names_and_other_outputs() -> None:
    assert preset("11-11-11-1") is preset("tabular_11_11_11_1")
    choice: TypeAdapter[str] = TypeAdapter(PresetChoice)
    assert [choice.validate_python(name) for name in ALIASES] == list(ALIASES.values())
    assert [choice.validate_python(name) for name in PRESETS] == list(PRESETS)
    with pytest.raises(InvalidParams, match="cnn_pool") as caught:
        preset("resnet")
    assert (caught.value.field, caught.value.received) == ("params.preset", "resnet")
    last = preset("perceptron").layers(3, "step")[-1]
    assert last.model_dump(include={"units", "activation"}) == {"units": 3, "activation": "step"}
    tasks = [output_layer(task, 4) for task in ("binary", "multiclass", "regression")]
    assert [(layer.units, layer.activation) for layer in tasks] == [(1, "sigmoid"), (4, "softmax"), (1, "linear")]


@pytest.mark.parametrize(
    ("layer", "size", "shape", "words"),
    [
        (conv(), (28, 28, 1), (26, 26, 1), "(28 - 3) + 1 = 26"),
        (conv(strides=2), (28, 27, 1), (13, 13, 1), "height (28 - 3) / 2, rounded down, + 1 = 13"),
        (conv(padding="same", strides=[2, 3]), (5, 7, 3), (3, 3, 1), "width 7 / 3, rounded up, = 3"),
        (conv(kernel=[1, 5], filters=4), (4, 5, 2), (4, 1, 4), "(1 * 5 * 2 + 1) * 4 = 44"),
        ({"type": "max_pool2d"}, (5, 4, 7), (2, 2, 7), "height (5 - 2) / 2, rounded down, + 1 = 2"),
        ({"type": "min_pool2d", "padding": "same"}, (5, 4, 7), (3, 2, 7), "height 5 / 2, rounded up, = 3"),
        ({"type": "average_pool2d", "pool_size": 3, "strides": 1}, (5, 4, 7), (3, 2, 7), "width (4 - 3) + 1 = 2"),
        ({"type": "flatten"}, (5, 4, 7), (140,), "5 * 4 * 7 = 140"),
        ({"type": "batch_norm"}, (5, 4, 7), (5, 4, 7), "4 * 7 = 28"),
        ({"type": "dense", "units": 3}, (5, 4), (5, 3), "(4 + 1) * 3 = 15"),
        ({"type": "dropout", "rate": 0.25}, (9,), (9,), "25% of the values"),
        ({"type": "activation", "activation": "sign"}, (9,), (9,), "sign of each value"),
    ],
)
def test_shapes_follow_from_formulas(
    layer: dict[str, Any], size: tuple[int, ...], shape: tuple[int, ...], words: str
) -> None:
    found = described(size, layer)
    assert found.output_shape == shape
    assert words in found.layers[0].formula


def test_what_batch_norm_does_not_learn_is_counted_apart() -> None:
    found = described((8,), {"type": "batch_norm"})
    assert (found.parameters, found.trainable) == (32, 16)


@pytest.mark.parametrize(
    ("layers", "at", "name", "shapes"),
    [
        ([conv(), conv(name="deep", kernel=[5, 2])], 1, "deep", ["(5, 2)", "(2, 2, 1)"]),
        ([{"type": "flatten"}, conv()], 1, "conv2d_1", ["(height, width, channels)", "(16,)"]),
        ([{"type": "max_pool2d", "pool_size": 5}], 0, "max_pool2d_1", ["(5, 5)", "(4, 4, 1)"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name_with_both_shapes(
    layers: list[dict[str, Any]], at: int, name: str, shapes: list[str]
) -> None:
    with pytest.raises(InvalidParams) as caught:
        described((4, 4, 1), *layers)
    assert caught.value.field == f"params.layers[{at}]"
    assert all(part in caught.value.message for part in [f"'{name}'", *shapes])


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(InvalidParams, match=r"'dense_2' .* over 200,000,000"):
        described((10_000,), {"type": "dense", "units": 15_000}, {"type": "dense", "units": 15_000})
    with pytest.raises(InvalidParams, match=r"'conv2d_1' would give \(1000, 1000, 51\)"):
        described((1000, 1000, 1), conv(51, 1))
    assert described((1000, 1000, 1), conv(50, 1)).parameters == 100


def test_names_are_given_and_kept_unique() -> None:
    dense = {"type": "dense", "units": 1}
    found = described((1,), dense, {**dense, "name": "dense_2"}, dense)
    assert [layer.name for layer in found.layers] == ["dense_1", "dense_2", "dense_3"]
    for wrong in ([{**dense, "name": "a"}, {**dense, "name": "a"}], [{**dense, "name": "inputs"}]):
        with pytest.raises(ValidationError, match="unique"):
            READER.validate_python(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"type": "lambda"}],
        [{"type": "dense"}],
        [{"type": "dense", "units": 0}],
        [{"type": "dense", "units": 1, "activation": "gelu"}],
        [{"type": "dense", "units": 1, "name": "a/b"}],
        [{"type": "dropout", "rate": 1}],
        [conv(kernel=[3, 3, 3])],
        [conv(strides=0)],
        [{"type": "flatten", "units": 1}],
    ],
)
def test_layers_are_checked(wrong: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        READER.validate_python(wrong)
