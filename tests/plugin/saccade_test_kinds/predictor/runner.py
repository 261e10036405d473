"""Reads the model's files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part
from saccade_test_kinds.predictor.contract import PredictorParams, PredictorResult


def run(inputs: Inputs, params: PredictorParams, context: Context) -> PredictorResult:
    """Tell what was given."""
    model = context.model(params.model)
    return PredictorResult(
        versions=[model.version],
        text=model.path.read_text(),
        name=model.name,
        roles=sorted(model.files),
        facts=dict(model.facts),
    )


def plan(inputs: Inputs, params: PredictorParams, context: Context) -> list[Part]:
    """As many parts as asked for."""
    return [Part(index, {}) for index in range(params.parts)]


def run_part(inputs: Inputs, params: PredictorParams, context: Context, part: Part) -> dict[str, Any]:
    """Tell which version this part was given."""
    return {"version": context.model(params.model).version}


def join(inputs: Inputs, params: PredictorParams, context: Context, parts: Sequence[DonePart]) -> PredictorResult:
    """Tell the versions of all runs."""
    own = run(inputs, params, context)
    return own.model_copy(update={"versions": [*(part.result["version"] for part in parts), *own.versions]})
