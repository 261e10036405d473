"""Which network is trained on a table."""

from __future__ import annotations

from collections.abc import Sequence

from saccade_kinds.train_tabular.contract import TrainTabularParams
from saccade_models.networks.presets import output_layer, preset
from saccade_models.networks.spec import ActivationLayer, BatchNorm, Dense, Dropout, Layer
from saccade_models.training.data import Task


def layers_of(params: TrainTabularParams, task: Task, classes: int) -> list[Layer]:
    """Hidden layers, each with batch normalisation and dropout as asked, and the one that gives the predictions."""
    hidden: list[Layer] = []
    for units in _units(params):
        hidden += _hidden(units, params)
    return [*hidden, output_layer(task, classes)]


def _units(params: TrainTabularParams) -> Sequence[int]:
    if params.hidden_layers is not None:
        return params.hidden_layers
    return [layer.units for layer in preset(params.preset).hidden if isinstance(layer, Dense)]


def _hidden(units: int, params: TrainTabularParams) -> list[Layer]:
    """Normalised before the activation, as in Ioffe and Szegedy 2015."""
    layers: list[Layer]
    if params.batch_norm:
        layers = [
            Dense(units=units, initializer=params.initializer),
            BatchNorm(),
            ActivationLayer(activation=params.activation),
        ]
    else:
        layers = [Dense(units=units, activation=params.activation, initializer=params.initializer)]
    return [*layers, Dropout(rate=params.dropout)] if params.dropout else layers
