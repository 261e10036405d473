"""``POST /v1/models/{name}/predict``: predictions of a trained model, while the caller waits."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from saccade_core.errors import InvalidRequest, NotServable, TooLarge
from saccade_core.records import models
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.trained import MOST_VERSION, SERVED_FAMILIES, AliasName, TrainedRef, Wanted, may_serve
from saccade_gateway.access import SECURITY, Submitter
from saccade_gateway.routes.jobs import json_only
from saccade_gateway.state import Here, in_thread
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.serving.answers import Answer, decode
from saccade_models.tables.encode import TableInput

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=SECURITY)

#: A version that is not loaded is waited for so long.
_WAIT_S = 20.0
_MOST_ROWS = 10_000
#: Numbers to or from the model in one request, and labels with scores in its answer.
_MOST_NUMBERS = 2_000_000
_MOST_SCORES = 200_000
_EXAMPLE: dict[str, Any] = {"rows": [{"age": 42, "country": "France", "balance": 1250.5}], "alias": "production"}

_FLOAT32_MOST = math.ldexp(2 - 2**-23, 127)

Encoded = tuple[list[list[float]], tuple[int, ...]]
"""Flat rows, and the shape of all of them."""


class PredictRequest(BaseModel):
    """``rows`` as they were in the table that the model was trained on, or ``instances``, which the network takes as
    they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    rows: list[dict[str, Any]] | None = Field(
        default=None,
        min_length=1,
        max_length=_MOST_ROWS,
        description="Raw rows by column name; null is a missing value",
    )
    instances: list[Any] | None = Field(
        default=None,
        min_length=1,
        max_length=_MOST_ROWS,
        description="Nested lists of numbers, one for each prediction",
    )
    version: int | None = Field(
        default=None, ge=1, le=MOST_VERSION, description="Without version and alias: production, else the newest"
    )
    alias: AliasName | None = None
    top_k: int = Field(default=5, ge=1, le=1000, description="How many labels of each prediction")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.rows is None) == (self.instances is None):
            raise ValueError("Give either rows or instances.")
        if self.version is not None and self.alias is not None:
            raise ValueError("Give a version or an alias, not both.")
        return self


class PredictAnswer(BaseModel):
    """Which version answered, and its prediction for each row or instance, in their order."""

    model: TrainedRef
    predictions: list[Answer]


@router.post("/{name}/predict", response_model_exclude_none=True)
async def predict(
    *,
    name: Annotated[str, Path(description="The model's name", examples=["churn"])],
    here: Here,
    caller: Submitter,
    _: Annotated[None, Depends(json_only)],
    body: PredictRequest,
) -> PredictAnswer:
    """Predict with a trained model, through the model server. A version that is not loaded is loaded first; where that
    takes longer than 20 s the answer is 503 with ``Retry-After``. For files, and many rows, submit a job."""
    wanted = Wanted(name, version=body.version, alias=body.alias)
    row = await in_thread(models.find, here.db, caller.project, wanted)
    _require_served(row)
    preprocess = await here.serving.call(here.serving.preprocess, row)
    _require_small(preprocess, body)
    rows, shape = await here.serving.call(_encoded, preprocess, body)
    outputs = await here.serving.predict(row, rows, shape, _WAIT_S)
    ref = TrainedRef(name=row.name, version=row.version)
    return PredictAnswer(model=ref, predictions=await here.serving.call(decode, preprocess, outputs, body.top_k))


def _require_served(row: ModelVersionRow) -> None:
    shown = f"{row.name}@{row.version}"
    if row.family not in SERVED_FAMILIES:
        raise InvalidRequest(
            f"{shown} finds objects in pictures: submit a job of a kind that does (GET /v1/kinds).",
            field="name",
            received=row.name,
        )
    if not may_serve(row.checks or {}):
        raise NotServable(f"{shown} may not be served: its SavedModel was not compared, or differs.", field="version")


def _require_small(preprocess: TableInput | PictureInput, body: PredictRequest) -> None:
    """Raise TooLarge for what would take a gateway's memory: a short row may become thousands of numbers."""
    field, count = ("rows", len(body.rows)) if body.rows is not None else ("instances", len(body.instances or []))
    width = max(preprocess.width if isinstance(preprocess, TableInput) else math.prod(preprocess.shape), 1)
    widest = max(width, len(preprocess.labels))
    if count * widest > _MOST_NUMBERS:
        raise TooLarge(
            f"{field}: {count} of them are {count * widest} numbers for this model, and one request may have "
            f"{_MOST_NUMBERS}: send {_MOST_NUMBERS // widest} at once at most, or submit a job.",
            field=field,
            received=count,
        )
    scores = count * min(body.top_k, len(preprocess.labels))
    if scores > _MOST_SCORES:
        raise InvalidRequest(
            f"top_k: {scores} labels would be in the answer, and {_MOST_SCORES} may be: for {count} {field} ask for "
            f"{_MOST_SCORES // count} at most.",
            field="top_k",
            received=body.top_k,
        )


def _encoded(preprocess: TableInput | PictureInput, body: PredictRequest) -> Encoded:
    if body.instances is not None:
        shape = (preprocess.width,) if isinstance(preprocess, TableInput) else preprocess.shape
        flat = [_flat(value, shape, f"instances[{number}]") for number, value in enumerate(body.instances)]
        return flat, (len(flat), *shape)
    if isinstance(preprocess, PictureInput):
        raise InvalidRequest(
            "This model takes pictures, not rows: submit a job of a kind that predicts (GET /v1/kinds) with the "
            f"pictures, or give instances of shape {list(preprocess.shape)} as the network takes them.",
            field="rows",
        )
    rows = preprocess.encode_rows(body.rows or [])
    return rows, (len(rows), preprocess.width)


def _flat(value: Any, shape: tuple[int, ...], field: str) -> list[float]:
    """The numbers of nested lists of ``shape``, in C order. Raises InvalidRequest."""
    level: list[Any] = [value]
    for size in shape:
        if any(not isinstance(each, list) or len(each) != size for each in level):
            raise InvalidRequest(f"{field} must be nested lists of shape {list(shape)}.", field=field)
        level = [item for each in level for item in each]
    for number in level:
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= _FLOAT32_MOST:
            raise InvalidRequest(
                f"{field} must hold numbers that a float32 can.", field=field, received=str(number)[:100]
            )
    return level
