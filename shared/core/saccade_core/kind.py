"""The vocabulary in which a kind of job is declared and its runner is written.

A kind is one folder with ``contract.py`` (light: this module and pydantic only), ``runner.py``
(``run(inputs, params, context) -> Result``, heavy imports allowed) and ``sample/`` (a ``request.json`` and the
files it names). Everything else (request schema, CLI flags, worker registration, tests) follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict

from saccade_core.errors import InvalidRequest

Pool = Literal["cpu", "torch", "keras"]
POOLS: tuple[Pool, ...] = get_args(Pool)

#: Names of artefacts: relative, no empty, ``.`` or ``..`` parts.
ARTIFACT_NAME = re.compile(r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*")


class Params(BaseModel):
    """Base of every kind's parameters: unknown fields are refused, and each field has a default or a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Result(BaseModel):
    """Base of every kind's result: plain JSON, geometry in pixels of the source after EXIF orientation."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Input:
    """One named input of a kind.

    ``accepts`` holds media types (``application/pdf``) or families (``image``, ``video``); a file whose
    recognised type is none of them is refused when the job is submitted.
    """

    accepts: tuple[str, ...]
    description: str
    many: bool = False
    required: bool = True
    max_items: int = 1000

    def takes(self, media_type: str) -> bool:
        """Whether a file of ``media_type`` may be given; bytes of no recognised type are left to the runner."""
        if media_type == "application/octet-stream":
            return True
        return any(media_type == a or media_type.startswith(f"{a}/") for a in self.accepts)


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a kind may write: a name (``*`` stands for a number or name) and a sentence for the catalogue."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job. ``time_limit_s`` and ``memory_mb`` end one run of it from outside when exceeded."""

    name: str
    pool: Pool | tuple[Pool, ...]
    summary: str
    inputs: Mapping[str, Input]
    params: type[Params]
    result: type[Result]
    artifacts: tuple[Artifact, ...] = ()
    version: str = "1"
    train: bool = False
    time_limit_s: float = 600.0
    memory_mb: int = 4096

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Pools in order of preference."""
        return self.pool if isinstance(self.pool, tuple) else (self.pool,)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as the runner gets it: a local, private, read-only file.

    ``field`` is the input's place in the request (``image``, ``images[3]``), for error messages.
    """

    path: Path
    name: str
    media_type: str
    field: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of one job by name, each a list in the order of the request."""

    files: Mapping[str, list[InputFile]] = field(default_factory=dict[str, list[InputFile]])

    def one(self, name: str) -> InputFile:
        """The single file of input ``name``; InvalidRequest when there is none or more than one."""
        found = self.many(name)
        if len(found) != 1:
            raise InvalidRequest(f"Input '{name}' takes one file.", field=f"inputs.{name}", received=len(found))
        return found[0]

    def optional(self, name: str) -> InputFile | None:
        """The single file of input ``name``, or None where it was not given."""
        return self.one(name) if self.files.get(name) else None

    def many(self, name: str) -> list[InputFile]:
        """All files of input ``name``."""
        return list(self.files.get(name, []))


class Context(Protocol):
    """What a runner may ask of the world; it knows nothing of queues, stores and databases."""

    @property
    def scratch(self) -> Path:
        """A private, empty folder, removed after the run."""
        ...

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda:0``."""
        ...

    def progress(self, done: float, total: float, stage: str) -> None:
        """Report ``done`` of ``total`` units of ``stage``; cheap to call often; raises Cancelled like the next."""
        ...

    def check_cancelled(self) -> None:
        """Raise errors.Cancelled when the job was cancelled; call it between steps, at least every second."""
        ...

    def artifact(self, name: str) -> Path:
        """A path to write artefact ``name`` to (folders are made); stored when the run succeeds."""
        ...

    def model(self, name: str) -> Path:
        """The checked local file of registered weights; raises errors.ModelMissing."""
        ...

    def uses_model(self, name: str, version: str, sha256: str = "") -> None:
        """Record a model or engine for the job's provenance."""
        ...

    def log(self, message: str) -> None:
        """A line for people, seen live in the job's events."""
        ...

    def metric(self, name: str, value: float, step: int) -> None:
        """A figure over time (loss by epoch), seen live in the job's events."""
        ...

    @property
    def checkpoints(self) -> Path:
        """Folder with the checkpoints that earlier attempts saved; empty on the first."""
        ...

    def save_checkpoint(self, name: str) -> None:
        """Keep ``checkpoints/name``, just written, in the object store for a later attempt."""
        ...
