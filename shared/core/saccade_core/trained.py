"""Models that users train: how a runner hands one over, and how one is named.

A version's files are ``models/{served name}/{version}/...`` in the object store; its record says which of them is
what (``roles``), what was measured, and what it came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

#: What can run a trained model: rows of a table, pictures of one size to classes, or a YOLO detector.
Family = Literal["tabular", "classifier", "yolo"]

#: Those that the model server serves; detectors run in jobs.
SERVED_FAMILIES: frozenset[Family] = frozenset({"tabular", "classifier"})

_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
#: A trained model's name in its project; those of registered weights (``yolo11n``), and ``weights``, are taken.
ModelName = Annotated[str, Field(pattern=_NAME)]
AliasName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
#: The alias that a name alone stands for, where it is set; the newest version otherwise.
PRODUCTION = "production"
#: The project whose models are served under their own names.
_PLAIN_PROJECT = "default"

#: The largest number of a version that the records can hold.
MOST_VERSION = 2**31 - 1

_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9_-]{0,62})(@(?P<of>[1-9]\d{0,8}|[a-z][a-z0-9_-]{0,62}))?")


class TrainedRef(BaseModel):
    """Which version of which trained model."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """``churn@3``, ``churn@production`` or ``churn``, read: at most one of ``version`` and ``alias`` is set."""

    name: str
    version: int | None = None
    alias: str | None = None


def read_wanted(text: str) -> Wanted | None:
    """``text`` as the name of a trained model; None where it cannot be one."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return None
    of = found["of"]
    if of is None:
        return Wanted(found["name"])
    return Wanted(found["name"], version=int(of)) if of.isdecimal() else Wanted(found["name"], alias=of)


def field_of(params: BaseModel, name: str) -> str:
    """Which field of a kind's params says ``name``, as errors name it: ``params.model``, ``params.models[1]``."""
    for field_name, value in params:
        if value == name:
            return f"params.{field_name}"
        if isinstance(value, list | tuple) and name in value:
            return f"params.{field_name}[{value.index(name)}]"
    return "params"


def served_name(project: str, name: str) -> str:
    """The name under which a model is stored and served; a model of another project has that before it."""
    return name if project == _PLAIN_PROJECT else f"{project}.{name}"


def read_served_name(served: str) -> tuple[str, str]:
    """The project and the name that ``served_name`` put together; neither has a dot."""
    project, dot, name = served.partition(".")
    return (project, name) if dot else (_PLAIN_PROJECT, served)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model to be registered, in the same transaction that makes the job succeed.

    ``folder``, in the scratch folder, holds all its files and nothing else: ``model.h5``, ``model.keras``,
    ``saved_model/...``, ``model.onnx``, ``preprocess.json``; of a detector ``best.pt``, ``best.onnx``. ``roles`` says
    what a run that uses it gets by ``context.model(name).files``, as paths in the folder: ``weights`` always, and
    what else the family needs (``onnx``, ``preprocess``). ``facts`` come as ``context.model(name).facts``: for all
    families ``labels`` (of a regression an empty list). ``metrics`` are figures on data that the training did not
    see. ``checks`` are the largest absolute differences of a form's outputs from the ``.h5``'s on held-out rows, by
    file: ``{"saved_model": 0.0, "model.onnx": 9e-8}``, as parts of the largest output where that is above 1; a version
    is served only where ``may_serve`` says so.
    """

    family: Family
    folder: Path
    roles: Mapping[str, str]
    metrics: Mapping[str, float]
    facts: Mapping[str, Any]
    checks: Mapping[str, float] = field(default_factory=dict[str, float])


#: The most by which a SavedModel's outputs may differ from the ``.h5``'s.
MAX_DIFFERENCE = 1e-5


def may_serve(checks: Mapping[str, float]) -> bool:
    """Whether a version with these ``TrainedModel.checks`` may be served: its SavedModel does what its ``.h5`` does."""
    return "saved_model" in checks and checks["saved_model"] <= MAX_DIFFERENCE
