"""What ``train_tabular`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Result
from saccade_core.media_types import XLSX
from saccade_core.trained import TrainedRef
from saccade_models.tables.facts import TableReport
from saccade_models.training.params import Activation, Finding, StoppedBy, TrainingParams

ColumnName = Annotated[str, Field(min_length=1, max_length=1000)]
Units = Annotated[int, Field(ge=1, le=4096)]
#: Hidden layers by name: none; 64 and 32; 11 and 11; 7.
TabularPreset = Literal["perceptron", "mlp", "tabular_11_11_11_1", "7_7_1"]


class TrainTabularParams(TrainingParams):
    """Which column is predicted, from which others, by which network."""

    target: ColumnName = Field(description="Name of the column to predict; blanks around it do not count")
    task: Literal["auto", "binary", "multiclass", "regression"] = Field(
        default="auto", description="auto: by what the target holds; few whole numbers that repeat are classes"
    )
    drop: list[ColumnName] = Field(default=[], max_length=2000, description="Columns not to learn from")
    keep: list[ColumnName] = Field(
        default=[], max_length=2000, description="Columns to learn from though they look like names of rows, or useless"
    )
    sheet: str | None = Field(
        default=None, min_length=1, max_length=255, description="Of a workbook: the sheet's name; null is the first"
    )
    preset: TabularPreset = Field(
        default="mlp", description="Hidden layers by name: perceptron has none, mlp 64 and 32 units"
    )
    hidden_layers: list[Units] | None = Field(
        default=None, max_length=50, description="Units of each hidden layer, instead of the preset's; [] is none"
    )
    # Chosen on the validation parts of churn, admission and mobile price over several seeds: docs/tables.md.
    activation: Activation = Field(default="tanh", description="Of hidden layers")
    dropout: float = Field(default=0.2, ge=0, le=0.95, description="Share of a hidden layer's outputs left out a step")
    epochs: int = Field(default=100, ge=1, le=100_000, description="At most so many passes over the training part")
    patience: int | None = Field(
        default=15, ge=1, description="Stop after so many epochs without a better validation loss; null never stops"
    )

    @model_validator(mode="after")
    def _names_one_network(self) -> Self:
        if self.hidden_layers is not None and "preset" in self.model_fields_set and self.preset != "mlp":
            raise ValueError("give one of preset and hidden_layers, not both")
        return self


class TrainTabularParts(Result):
    """Rows of each part, dealt at random, of classes each in the same shares."""

    train: int
    valid: int
    test: int


class TrainTabularBaseline(Result):
    """What simple models reach on the same rows: ``blind`` always answers the most frequent class, or the mean;
    ``linear`` is a logistic or ridge regression on the same inputs."""

    blind: dict[str, float]
    linear: dict[str, float] | None
    notes: list[str]


class TrainTabularClass(Result):
    """One class: ``rows`` of those measured are truly of it. Null where a figure is not defined."""

    label: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


class TrainTabularResult(Result):
    """A trained, registered model and how good it is."""

    task: Literal["binary", "multiclass", "regression"]
    target: str
    labels: list[str] = Field(description="Of classes, in the order of the network's outputs; the second is positive")
    metrics: dict[str, float] = Field(
        description="accuracy, balanced_accuracy, precision, recall, f1, log_loss, roc_auc; or r2, mae, rmse"
    )
    measured_on: Literal["train", "valid", "test"] = Field(description="test, where rows were kept for it")
    baseline: TrainTabularBaseline
    classes: list[TrainTabularClass]
    confusion: list[list[int]] = Field(description="Counts: truth down, answer across, in the order of labels")
    notes: list[str]
    parameters: int = Field(description="Weights of the network")
    inputs: int = Field(description="Numbers that the network takes of a row")
    epochs_run: int
    best_epoch: int = Field(description="Whose weights were kept: that of the least validation loss")
    stopped_by: StoppedBy
    train_seconds: float
    diagnosis: list[Finding]
    parts: TrainTabularParts
    table: TableReport
    model: TrainedRef


KIND = Kind(
    name="train_tabular",
    pool="keras",
    summary="Train a network on a table and register it.",
    inputs={
        "table": Input(
            accepts=("text", XLSX, "application/zip", "application/vnd.apache.parquet"),
            description="CSV (between cells , ; tab or |), XLSX or Parquet; its first row names the columns",
        )
    },
    params=TrainTabularParams,
    result=TrainTabularResult,
    artifacts=(
        Artifact("model.h5", "The network, for keras.models.load_model; preprocess.json says what it takes"),
        Artifact("preprocess.json", "How a row becomes the network's input: means, deviations, categories, labels"),
        Artifact("history.csv", "Losses and figures of each epoch"),
        Artifact("curves.png", "The same, drawn"),
        Artifact("confusion.png", "Of classes: truth against answers"),
        Artifact("residuals.png", "Of a regression: truth against answers"),
        Artifact("columns.json", "Each column: type, role, missing values; and the dirty cells"),
        Artifact("dirty-cells.csv", "All dirty cells with their rows, where there are any"),
        Artifact("model-card.md", "What the model is, what it was trained on, how good it is"),
    ),
    train=True,
    time_limit_s=7 * 86_400.0,
    memory_mb=12_000,
    registers=lambda p: p.name,
)
