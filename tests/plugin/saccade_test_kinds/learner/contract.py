"""``learner``: a kind of job that trains nothing, in no time, and says how well that went by a formula."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Input, Kind, Params, Result
from saccade_core.trained import ModelName, TrainedRef


class LearnerParams(Params):
    """Parameters as a training's. The loss is least at a learning rate of 0.01, without dropout, with hidden layers."""

    name: ModelName = "model"
    target: str
    learning_rate: float = Field(default=0.01, gt=0, le=100)
    batch_size: int | None = Field(default=32, ge=1, le=1000, description="13 is refused, 666 kills the process")
    dropout: float = Field(default=0.0, ge=0, le=0.9)
    hidden_layers: list[int] | None = None
    epochs: int = Field(default=3, ge=1, le=100)
    validation_split: float = Field(default=0.2, ge=0, le=0.5)
    measures: Literal["accuracy", "mae"] = "accuracy"
    seconds: float = Field(default=0.0, ge=0, le=60, description="That it takes, beside those that it says it took")
    effects: str = Field(default="", description="A file that gets a line for each run")
    seed: int = 0


class LearnerResult(Result):
    """What a training tells."""

    metrics: dict[str, float]
    model: TrainedRef


KIND = Kind(
    name="learner",
    pool="keras",
    summary="Seems to train; for tests.",
    inputs={"table": Input(("text",), "Any text")},
    params=LearnerParams,
    result=LearnerResult,
    train=True,
    time_limit_s=60,
    memory_mb=700,
    registers=lambda params: params.name,
)
