"""``trainer``: a kind that registers a model, good or bad, without training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Kind, Params, Result
from saccade_core.trained import Family, ModelName, TrainedRef


class TrainerParams(Params):
    """What to register, and how to behave."""

    name: ModelName = "churn"
    family: Family = "tabular"
    text: str = "weights"
    wrong: Literal[
        "", "link", "folder_link", "outside", "role", "family", "file_name", "twice", "facts", "nothing", "nan"
    ] = ""
    parts: int = Field(default=0, ge=0, le=3)
    register_in_part: bool = False
    gate: str = ""
    die: bool = False


class TrainerResult(Result):
    """Which version this is."""

    model: TrainedRef


def _name(params: TrainerParams) -> str:
    return params.name


KIND = Kind(
    name="trainer",
    pool="cpu",
    summary="Registers a model; for tests.",
    inputs={},
    params=TrainerParams,
    result=TrainerResult,
    registers=_name,
    parts=True,
    time_limit_s=60,
    memory_mb=700,
)
