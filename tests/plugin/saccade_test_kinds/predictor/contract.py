"""``predictor``: a kind that tells what it is given of a trained model."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from saccade_core.kind import Kind, Params, Result


class PredictorParams(Params):
    """Which model, in how many parts."""

    model: str
    parts: int = Field(default=0, ge=0, le=3)


class PredictorResult(Result):
    """What the run has been given, in each part of it."""

    versions: list[str]
    text: str
    name: str
    roles: list[str]
    facts: dict[str, Any]


def _models(params: PredictorParams) -> list[str]:
    return [params.model]


KIND = Kind(
    name="predictor",
    pool="cpu",
    summary="Tells what is in a trained model; for tests.",
    inputs={},
    params=PredictorParams,
    result=PredictorResult,
    models=_models,
    families=("tabular",),
    parts=True,
    time_limit_s=60,
    memory_mb=700,
)
