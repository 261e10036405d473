"""Parameters and results that all kinds share which train a network: light (pydantic only), for contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Params, Result
from saccade_core.trained import ModelName
from saccade_models.networks.spec import Initializer

#: ``momentum`` and ``nesterov`` are stochastic gradient descent with that.
Optimizer = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
#: Of hidden layers; each has a gradient almost everywhere, else nothing could be learnt.
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "linear"]
#: What ended a training.
StoppedBy = Literal["epochs", "patience", "time_budget", "diverged"]

#: What ``learning_rate`` null stands for.
LEARNING_RATES: Mapping[Optimizer, float] = {
    "sgd": 0.05,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.05,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
}

Share = Annotated[float, Field(ge=0, le=0.9)]


class TrainingParams(Params):
    """How a network is trained. Kinds that train derive their parameters from this."""

    name: ModelName = Field(default="model", description="Name in the registry; each run makes a new version of it")
    optimizer: Optimizer = Field(default="adam", description="How weights follow the gradient")
    learning_rate: float | None = Field(
        default=None, gt=0, le=100, description="Step size; null is a good one for the optimizer"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of the optimizers momentum and nesterov")
    weight_decay: float = Field(default=0.004, ge=0, le=1, description="Of the optimizer adamw")
    batch_size: int | None = Field(
        default=32, ge=1, le=1_000_000, description="Rows per step: 1 is stochastic, null the whole training part"
    )
    epochs: int = Field(default=20, ge=1, le=100_000, description="At most so many passes over the training part")
    validation_split: Share = Field(
        default=0.2, description="Share of the rows that is not trained on, and chooses the best epoch"
    )
    test_split: Share = Field(default=0.2, description="Share of the rows that is kept for the figures at the end")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after so many epochs without a better validation loss; null never stops"
    )
    time_budget_s: float | None = Field(
        default=None, gt=0, description="Stop when training took so long, all attempts together; null is no limit"
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: rare classes count as much as frequent ones"
    )
    initializer: Initializer = Field(default="glorot", description="How weights start: he suits relu")
    activation: Activation = Field(default="relu", description="Of hidden layers")
    dropout: float = Field(default=0.0, ge=0, le=0.95, description="Share of a hidden layer's outputs left out a step")
    batch_norm: bool = Field(default=False, description="Normalise a hidden layer's outputs over each batch")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Of split, start, order and dropout: same seed, same weights (CPU)"
    )

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> Self:
        if self.validation_split + self.test_split > 0.9:
            raise ValueError("validation_split and test_split together may be 0.9 at most: rows must be left to train")
        return self


class EpochRow(Result):
    """One epoch. Losses of a regression are of the standardised target, ``mae`` is in the target's unit; ``val_``
    figures are of the validation part, and null where there is none. ``seconds`` is the epoch's own time."""

    epoch: int = Field(description="From 1")
    loss: float | None = Field(description="Mean over the epoch's batches; null where it is not a number")
    val_loss: float | None = None
    accuracy: float | None = None
    val_accuracy: float | None = None
    mae: float | None = None
    val_mae: float | None = None
    learning_rate: float
    seconds: float


class LayerGradient(Result):
    """The root mean square of the loss's gradient over one layer's weights, after an epoch (0: before the first)."""

    epoch: int
    layer: str
    gradient: float | None = Field(description="Null where it is not a number")


FindingCode = Literal[
    "diverged",
    "exploding_gradients",
    "vanishing_gradients",
    "under_fitting",
    "over_fitting",
    "class_collapse",
    "learning_rate_high",
    "train_longer",
    "healthy",
]


class Finding(Result):
    """One thing that the curves say about the training."""

    code: FindingCode
    text: str = Field(description="A sentence or two with the figures, and what to try")
