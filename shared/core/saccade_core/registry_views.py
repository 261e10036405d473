"""The model registry as users see it: what the API answers, and its clients read."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from saccade_core.jobs import ModelUsed, Time

Source = Literal["trained", "built_in"]
"""Whether a model was trained here, or is registered weights that Saccade knows."""


class AliasItem(BaseModel):
    """What an alias stands for since ``changed_at``; in a history, what it was set to then."""

    alias: str = Field(examples=["production"])
    version: int
    changed_at: Time


class ModelItem(BaseModel):
    """A model in a list. ``version`` is the newest trained one, or the preferred one of registered weights."""

    name: str = Field(examples=["churn"])
    source: Source
    family: str = Field(examples=["tabular"])
    version: str = Field(examples=["3"])
    versions: int
    aliases: dict[str, int] = Field(examples=[{"production": 2}])
    bytes: int
    created_at: Time | None
    url: str


class VersionItem(BaseModel):
    """A version of a trained model. ``metrics`` are of data that the training did not see, null for what was not
    finite; ``checks`` are the largest differences of a form's outputs from the ``.h5``'s; ``may_serve``: whether they
    let it be served. ``serving`` is what was last seen of it at the model server."""

    version: int
    family: str
    metrics: dict[str, float | None] = Field(examples=[{"accuracy": 0.8655, "roc_auc": 0.8671}])
    checks: dict[str, float] = Field(examples=[{"saved_model": 0.0, "model.onnx": 9e-08}])
    may_serve: bool
    serving: str | None = Field(examples=["available"])
    serving_error: str | None
    aliases: list[str] = Field(examples=[["production"]])
    bytes: int
    sha256: str
    job: str
    created_at: Time
    url: str


class WeightsItem(BaseModel):
    """A version of registered weights; ``stand_in``: rebuilt where the official file is not to be had."""

    version: str
    sha256: str
    bytes: int
    licence: str
    origin: str
    stand_in: bool


class ModelDetail(BaseModel):
    """A model: of a trained one its aliases, their latest changes and its versions, newest first, with the cursor of
    the next page of these; of registered weights their versions, the preferred one first."""

    name: str
    source: Source
    family: str
    aliases: list[AliasItem] = []
    history: list[AliasItem] = []
    versions: list[VersionItem] = []
    next_cursor: int | None = None
    weights: list[WeightsItem] = []


class Lineage(BaseModel):
    """What a version came from: enough to make it again. ``data``: SHA-256 of each input."""

    job: str
    kind: str
    data: dict[str, str]
    params: dict[str, Any]
    code_version: str
    device: str
    models: list[ModelUsed]


class ModelFile(BaseModel):
    """A file of a version; ``url`` is relative to the API's address."""

    path: str = Field(examples=["model.h5"])
    media_type: str
    bytes: int
    sha256: str
    url: str


class VersionDetail(VersionItem):
    """A version with what it came from and its files; ``roles`` says which of them a run gets as what."""

    facts: dict[str, Any]
    roles: dict[str, str]
    lineage: Lineage
    files: list[ModelFile]


class Comparison(BaseModel):
    """Versions side by side: each list has one value for each of ``versions``, null where that has none. ``params``
    are only those that differ."""

    name: str
    versions: list[int]
    metrics: dict[str, list[float | None]] = Field(examples=[{"accuracy": [0.861, 0.8655]}])
    checks: dict[str, list[float | None]]
    params: dict[str, list[Any]] = Field(examples=[{"epochs": [10, 30]}])
    data: dict[str, list[str | None]]
    same_data: bool
    code_versions: list[str]
    jobs: list[str]
    created_at: list[Time]
