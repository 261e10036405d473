"""Which network is trained: a preset, the user's own layers, or a trained base with a new head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from saccade_core.errors import InvalidParams
from saccade_core.kind import ModelFiles
from saccade_kinds.train_classifier.contract import TrainClassifierParams
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.networks.backbones import free_name, mobilenet, without_head
from saccade_models.networks.build import build
from saccade_models.networks.presets import output_layer, preset
from saccade_models.networks.shapes import describe
from saccade_models.networks.spec import (
    ActivationLayer,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
)
from saccade_models.training.data import Split
from saccade_models.training.outputs import outputs_of

Task = Literal["binary", "multiclass"]
#: The family of registered weights that a MobileNet can be taken from.
MOBILENET_FAMILY = "ssd_tflite"
#: Inverse strength of the regularisation of the head's start, over standardised features: few pictures, many features.
_HEAD_C = 0.01
#: The convolutions of ``cnn`` end where a side is no longer than this.
_SMALLEST_SIDE = 7
_MAX_FILTERS = 128
_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be trained: ``layers`` are None where there is a base."""

    task: Task
    layers: Sequence[Layer] | None


def plan(params: TrainClassifierParams, wanted: PictureInput) -> Plan:
    """The layers for these pictures and classes.

    Raises InvalidParams where the user's layers do not fit the pictures, or do not end in one value for each class.
    """
    classes = len(wanted.labels)
    if params.base is not None:
        return Plan("multiclass", None)
    if params.layers is None:
        hidden = _cnn(params, wanted.shape) if params.preset in {None, "cnn"} else preset(str(params.preset)).hidden
        layers = [*hidden, output_layer("multiclass", classes)]
        describe(wanted.shape, layers)
        return Plan("multiclass", layers)
    found = describe(wanted.shape, params.layers).output_shape
    last = _last_activation(params.layers)
    if found == (classes,) and last == "softmax":
        return Plan("multiclass", params.layers)
    if classes == 2 and found == (1,) and last == "sigmoid":
        return Plan("binary", params.layers)
    raise InvalidParams(
        f"The layers must end in a dense layer of {classes} units with softmax, one for each class"
        f"{' (or 1 unit with sigmoid)' if classes == 2 else ''}; they end in {list(found)} with {last}.",
        field="params.layers",
        received=len(params.layers),
    )


def network(
    params: TrainClassifierParams, planned: Plan, wanted: PictureInput, base: ModelFiles | None, train: Split
) -> Callable[[], keras.Model]:
    """Builds the network when called; ``train`` is what a base's new head starts from where the base is tuned too."""
    if base is None:
        layers = planned.layers or []
        return lambda: _following(build(wanted.shape, layers, seed=params.seed))
    return lambda: _on_base(params, wanted, base, train)


def _following(model: keras.Model) -> keras.Model:
    """Batch normalisation's averages follow faster than Keras's 0.99 a step: a small data set has few steps."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    return model


def _cnn(params: TrainClassifierParams, shape: tuple[int, int, int]) -> list[Layer]:
    """Blocks of convolution and pooling until a side is at most 7 pixels long, then 128 units."""
    layers: list[Layer] = []
    side, filters = min(shape[:2]), 32
    while side > _SMALLEST_SIDE or not layers:
        layers += _hidden(Conv2D(filters=filters, padding="same", initializer=params.initializer), params)
        if side < 2:
            break
        layers.append(MaxPool2D(pool_size=2))
        side, filters = side // 2, min(2 * filters, _MAX_FILTERS)
    layers += [Flatten(), *_hidden(Dense(units=128, initializer=params.initializer), params)]
    return [*layers, Dropout(rate=params.dropout)] if params.dropout else layers


def _hidden(layer: Conv2D | Dense, params: TrainClassifierParams) -> list[Layer]:
    normalised: list[Layer] = [BatchNorm()] if params.batch_norm else []
    return [layer, *normalised, ActivationLayer(activation=params.activation)]


def _last_activation(layers: Sequence[Layer]) -> str:
    last = layers[-1]
    return last.activation if isinstance(last, Dense | Conv2D | ActivationLayer) else "linear"


def _on_base(params: TrainClassifierParams, wanted: PictureInput, base: ModelFiles, train: Split) -> keras.Model:
    backbone = load_base(base, wanted)
    for layer in backbone.layers:
        # Statistics that few pictures would spoil stay as they are, also while the base is tuned.
        layer.trainable = params.fine_tune and not isinstance(layer, keras.layers.BatchNormalization)
    features: Any = backbone.output
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name=free_name(backbone, "features"))(features)
    elif len(features.shape) > 2:
        features = keras.layers.Flatten(name=free_name(backbone, "features"))(features)
    inner = keras.Model(backbone.inputs, features)
    if params.dropout:
        name = free_name(backbone, "head_dropout")
        features = keras.layers.Dropout(params.dropout, seed=params.seed, name=name)(features)
    head = keras.layers.Dense(len(wanted.labels), activation="softmax", name=free_name(backbone, "head"))
    model = keras.Model(backbone.inputs, head(features), name="network")
    head.set_weights(_linear_head(inner, train, len(wanted.labels)))
    return model


def load_base(base: ModelFiles, wanted: PictureInput) -> keras.Model:
    """The base without its last layer; raises InvalidParams where it is no base."""
    if base.facts.get("family") == MOBILENET_FAMILY:
        return mobilenet(base.path, wanted.shape)
    model: Any = keras.models.load_model(base.files["keras"], compile=False, safe_mode=True)
    return without_head(model)


def _linear_head(inner: keras.Model, train: Split, classes: int) -> list[NDArray[np.float32]]:
    """Weights and bias of a logistic regression on the base's features: where training begins.

    A base that is tuned under a random head loses what it knows (Kumar et al., "Fine-Tuning can Distort Pretrained
    Features and Underperform Out-of-Distribution", 2022): first the head, then both.
    """
    features = outputs_of(inner, train.x, lambda: None)
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=_HEAD_C, max_iter=1000).fit(scaler.transform(features), train.y)
    weights, bias = np.asarray(fitted.coef_), np.asarray(fitted.intercept_)
    if classes == 2:  # one row: the second class against the first
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    weights = weights / np.asarray(scaler.scale_)
    bias = bias - weights @ np.asarray(scaler.mean_)
    return [weights.T.astype(np.float32), bias.astype(np.float32)]
