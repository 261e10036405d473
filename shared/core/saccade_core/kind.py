"""The vocabulary in which a kind of job is declared and its runner is written.

A kind is one folder with ``contract.py`` (light: this module and pydantic only), ``runner.py``
(``run(inputs, params, context) -> Result``, heavy imports allowed) and ``sample/`` (a ``request.json`` and the
files it names). Everything else (request schema, CLI flags, worker registration, tests) follows from it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from saccade_core.errors import InvalidRequest
from saccade_core.trained import Family, TrainedModel, TrainedRef

Pool = Literal["cpu", "torch", "keras"]
POOLS: tuple[Pool, ...] = get_args(Pool)

#: Names of artefacts: relative, no empty, ``.`` or ``..`` parts.
ARTIFACT_NAME = re.compile(r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*")


def person_name(name: str) -> str:
    """``name`` in Unicode's composed form; ValueError unless it is safe to show and to be part of an address."""
    name = unicodedata.normalize("NFC", name)
    bad = any(c in "/\\" or unicodedata.category(c)[0] == "C" or (c.isspace() and c != " ") for c in name)
    if bad or not 1 <= len(name) <= 100 or name != name.strip() or name in {".", ".."}:
        raise ValueError("a person's name is 1 to 100 printable characters, without slashes and outer spaces")
    return name


#: Names of face galleries and of the people in them, as fields of a kind's params.
GalleryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
PersonName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(person_name)]


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


def _no_models(_: Any) -> Sequence[str]:
    return ()


def _none(_: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job. ``time_limit_s`` and ``memory_mb`` end one run of it from outside when exceeded.

    ``models`` and ``gallery`` name, from the validated params, the models and the face gallery that a run needs; the
    worker brings both before the run starts. A model is registered weights (``yolo11n``), or what users trained, of
    one of these ``families`` (``churn``, ``churn@3``, ``churn@production``). ``registers`` names the trained model of
    which a successful run makes a new version. For a kind that ``predicts`` the model server is told to load the
    trained models that a run names; ``served_name`` among their facts is what they are called there, ``may_serve``
    whether they are served. Jobs that
    ``train`` run on workers of their own, each in a process of its own, with all cores of the machine. A kind that
    ``enrolls`` may add faces to
    the gallery, which is made where it is not there yet; for other kinds that is an error. With ``parts`` the runner
    may split a long job over several workers (``Part``). Where params decide which pools can run the job,
    ``pools_for`` names those, of ``pools`` and in their order. Of a kind whose jobs are mostly over within a blink a
    worker may hold ``together`` jobs at once, to fetch and store around the one that runs; it still runs one.
    """

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
    models: Callable[[Any], Sequence[str]] = _no_models
    gallery: Callable[[Any], str | None] = _none
    enrolls: bool = False
    families: tuple[Family, ...] = ()
    registers: Callable[[Any], str | None] = _none
    predicts: bool = False
    parts: bool = False
    together: int = 1
    pools_for: Callable[[Any], Sequence[Pool]] | None = None

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Pools in order of preference."""
        return self.pool if isinstance(self.pool, tuple) else (self.pool,)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as the runner gets it: a local, private, read-only file.

    ``field`` is the input's place in the request (``inputs.image``, ``inputs.images[3]``), for error messages.
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


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Registered weights, or a version of a trained model, on this machine, their bytes checked.

    ``files`` are local paths by role: ``weights``, and what else the model has (``labels``, ``config``, ``onnx``);
    ``facts`` is what the registry says of the model (``family``, ``labels``, ``input_size`` ...). ``sha256`` is of
    ``weights``.
    """

    name: str
    version: str
    sha256: str
    files: Mapping[str, Path]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def path(self) -> Path:
        """The file of the weights."""
        return self.files["weights"]


@dataclass(frozen=True, slots=True)
class GalleryFiles:
    """A face gallery as it was when the run began, N faces of P people.

    ``embeddings``: a raw file, (N, D) float32, rows of unit length. ``owners``: a raw file, (N,) uint32, each face's
    index into ``people``. ``faces``: a text file, each row's face id on a line. ``model`` is the registered name
    and version of the embedding network (``mobilefacenet@1``). Of a gallery without faces ``model`` is empty,
    ``dimensions`` is 0 and the files are empty.
    """

    id: str
    name: str
    revision: int
    model: str
    dimensions: int
    embeddings: Path
    owners: Path
    people: Sequence[str]
    faces: Path


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face to be added to the job's gallery, in the same transaction that makes the job succeed.

    ``embedding`` has unit length; ``crop`` (aligned, JPEG) and ``photo`` (the face and some of what is around it,
    JPEG) are files in the scratch folder, kept until the run's end; ``source`` is the input's field
    (``inputs.images[3]``). ``model`` is what ``GalleryFiles.model`` is: a gallery holds the faces of one network.
    """

    person: str
    embedding: Sequence[float]
    quality: Mapping[str, float]
    crop: Path
    photo: Path
    source: str
    model: str


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

    def model(self, name: str) -> ModelFiles:
        """The checked local files of registered weights, noted in the job's provenance; raises errors.ModelMissing."""
        ...

    def gallery(self) -> GalleryFiles:
        """The gallery that the kind's ``gallery`` named."""
        ...

    def enroll(self, face: EnrolledFace) -> None:
        """Add a face to the job's gallery when the job succeeds."""
        ...

    def uses_model(self, name: str, version: str, sha256: str = "") -> None:
        """Record a model or engine for the job's provenance."""
        ...

    @property
    def registers(self) -> TrainedRef:
        """The name and version that the run's model will have; only of kinds that register one."""
        ...

    def register(self, model: TrainedModel) -> None:
        """Register what was trained as ``registers``, when the job succeeds; its files stay until the run's end."""
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
        """Keep a copy of ``checkpoints/name``, as it is now, in the object store for a later attempt."""
        ...
