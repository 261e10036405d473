"""Networks by name: light (pydantic only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator

from saccade_core.errors import InvalidParams
from saccade_models.networks.spec import Activation, Conv2D, Dense, Flatten, Layer, MaxPool2D, Padding

PresetName = Literal["tabular_11_11_11_1", "7_7_1", "perceptron", "mlp", "cnn_valid", "cnn_same", "cnn_pool"]
#: Other ways to write a preset's name: units joined by hyphens.
ALIASES: Mapping[str, PresetName] = MappingProxyType({"11-11-11-1": "tabular_11_11_11_1", "7-7-1": "7_7_1"})


def _canonical(name: str) -> str:
    return ALIASES.get(name, name)


#: A preset by any of its names, as a field of a kind's params; validated, it is a ``PresetName``.
PresetChoice = Annotated[Literal[PresetName, "11-11-11-1", "7-7-1"], AfterValidator(_canonical)]


@dataclass(frozen=True, slots=True)
class Preset:
    """Hidden layers by name. ``input_shape``, ``outputs`` and ``output_activation`` are what its own form has; all
    three may be others, as the data ask."""

    name: PresetName
    summary: str
    hidden: tuple[Layer, ...]
    input_shape: tuple[int, ...]
    outputs: int
    output_activation: Activation

    def layers(self, outputs: int | None = None, output_activation: Activation | None = None) -> list[Layer]:
        """The hidden layers and a dense one of ``outputs`` units, which gives the predictions."""
        units = self.outputs if outputs is None else outputs
        return [*self.hidden, Dense(units=units, activation=output_activation or self.output_activation)]


def output_layer(task: Literal["binary", "multiclass", "regression"], classes: int) -> Dense:
    """The layer that a task's network ends in: 1 sigmoid unit, a softmax over ``classes``, or 1 linear unit."""
    match task:
        case "binary":
            return Dense(units=1, activation="sigmoid")
        case "multiclass":
            return Dense(units=classes, activation="softmax")
        case "regression":
            return Dense(units=1, activation="linear")


def preset(name: str) -> Preset:
    """The preset called ``name``, or by one of ``ALIASES``; raises InvalidParams with the names there are."""
    found = PRESETS.get(ALIASES.get(name, name))
    if found is None:
        raise InvalidParams(
            f"There is no preset {name!r}; there are: {', '.join([*PRESETS, *ALIASES])}.",
            field="params.preset",
            received=name,
        )
    return found


def _units(*units: int) -> tuple[Layer, ...]:
    return tuple(Dense(units=n, activation="relu") for n in units)


def _cnn(*filters: int, padding: Padding = "valid", pool: bool = False) -> tuple[Layer, ...]:
    """3x3 convolutions with ReLU, each followed by 2x2 max pooling where asked, then 128 units."""
    layers: list[Layer] = []
    for count in filters:
        layers.append(Conv2D(filters=count, kernel_size=3, padding=padding, activation="relu"))
        if pool:
            layers.append(MaxPool2D(pool_size=2))
    return (*layers, Flatten(), Dense(units=128, activation="relu"))


_DIGITS = (28, 28, 1)
_ALL = (
    Preset("tabular_11_11_11_1", "11 inputs, 11 and 11 units, 1 output", _units(11, 11), (11,), 1, "sigmoid"),
    Preset("7_7_1", "7 inputs, 7 units, 1 output", _units(7), (7,), 1, "linear"),
    Preset("perceptron", "No hidden layer: it separates by one straight line", (), (2,), 1, "sigmoid"),
    Preset("mlp", "64 and 32 units", _units(64, 32), (2,), 1, "sigmoid"),
    Preset("cnn_valid", "Convolutions of 32, 16, 8; 128 units", _cnn(32, 16, 8), _DIGITS, 10, "softmax"),
    Preset("cnn_same", "The same, zeros around", _cnn(32, 16, 8, padding="same"), _DIGITS, 10, "softmax"),
    Preset(
        "cnn_pool", "Convolutions of 32, 16, each pooled; 128 units", _cnn(32, 16, pool=True), _DIGITS, 10, "softmax"
    ),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _ALL})
