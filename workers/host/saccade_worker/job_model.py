"""The model that one run registers: its number, what the runner told of it, and what is recorded with the success."""

from __future__ import annotations

import json
import math
import mimetypes
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

from saccade_core.blobs import Blobs, Check
from saccade_core.errors import EngineFailed
from saccade_core.jobs import Provenance
from saccade_core.kind import ARTIFACT_NAME, Kind
from saccade_core.records import model_storing, models
from saccade_core.records.database import Database
from saccade_core.records.models import StoredModel, prefix_of
from saccade_core.records.tables import JobRow
from saccade_core.trained import Family, TrainedRef
from saccade_kinds import registry
from saccade_worker.job_gallery import Effect

_MOST_FILES = 1000
_MOST_BYTES = 8 << 30
_MOST_FIGURES = 1000
_MOST_ROLES = 20
_FACTS_BYTES = 256 << 10
_NAME_CHARACTERS = 200


class _CannotBeKept(ValueError):
    """What is wrong with a model, in words that users may read."""


@dataclass(slots=True)
class JobModel:
    """The version that the job has reserved, and the models that the runner told so far: there may be one."""

    ref: TrainedRef
    root: Path
    db: Database
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def register(self, message: dict[str, Any]) -> None:
        """Take a model from the child process; it is looked at when the run has ended well."""
        self.told.append(message)

    def store(self, blobs: Blobs, job: JobRow, made_by: Provenance, check: Check) -> Effect | None:
        """Put the model's files into the object store; what is to be recorded with the job's success.

        Raises EngineFailed where the runner told what cannot be, StorageFailed, LeaseLost, and what ``check`` raises.
        """
        if not self.told:
            return None
        if len(self.told) > 1 or job.parent_id is not None:
            raise EngineFailed("A job registers one model, and not from a part of it.")
        try:
            told, found = _checked(self.told[0], self.root)
        except (KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError) as error:
            why = str(error) if isinstance(error, _CannotBeKept) else type(error).__name__
            raise EngineFailed(f"The runner registered a model that cannot be kept: {why}.") from error
        prefix = prefix_of(job.project, self.ref.name, self.ref.version)
        # From now on no other attempt stores under this number, also while this process is stopped within a transfer.
        model_storing.begin(self.db, job, self.ref.name, self.ref.version)
        files = {path: _put(blobs, f"{prefix}{path}", file, check) for path, file in found.items()}
        model = StoredModel(files=files, lineage=_lineage(job, made_by), **told)
        return partial(models.register, project=job.project, job_id=job.id, version=self.ref.version, model=model)


def model_of(db: Database, job: JobRow, kind: Kind, root: Path) -> JobModel | None:
    """The version that the job registers, reserved now or by an earlier attempt; None where its kind registers none.

    Raises LeaseLost."""
    name = kind.registers(registry.validate_params(kind, job.params))
    if name is None:
        return None
    return JobModel(TrainedRef(name=name, version=model_storing.number_for(db, job, name)), root, db)


def _lineage(job: JobRow, made_by: Provenance) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "kind": job.kind,
        "data": made_by.input_sha256,
        "params": job.params,
        "code_version": made_by.code_version,
        "device": made_by.device,
        "models": [model.model_dump() for model in made_by.models],
    }


def _put(blobs: Blobs, key: str, path: Path, check: Check) -> dict[str, Any]:
    check()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    stored = blobs.put_file(key, path, media_type, check=check)
    return {"key": key, "bytes": stored.bytes, "sha256": stored.sha256}


def _checked(message: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """What the child told, and the files by their path in the model's folder. Raises _CannotBeKept, and what
    data of the wrong form raises: the child has read hostile files."""
    folder = (root / str(message["folder"])).resolve(strict=True)
    if not folder.is_relative_to((root / "scratch").resolve()):
        raise _CannotBeKept("its folder is not in the scratch folder")
    files = dict(_files(folder))
    roles = {str(role): str(path) for role, path in message["roles"].items()}
    if "weights" not in roles or len(roles) > _MOST_ROLES or not set(roles.values()) <= files.keys():
        raise _CannotBeKept("its roles do not name files of it, weights among them")
    if message["family"] not in get_args(Family):
        raise _CannotBeKept("its family is none")
    facts = dict(message["facts"])
    if len(json.dumps(facts)) > _FACTS_BYTES:
        raise _CannotBeKept(f"its facts are more than {_FACTS_BYTES} bytes")
    told: dict[str, Any] = {
        "family": message["family"],
        "roles": roles,
        "facts": facts,
        "metrics": _figures(message["metrics"]),
        # A form that could not be compared has not passed.
        "checks": {name: value for name, value in _figures(message["checks"]).items() if value is not None},
    }
    return told, files


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    count = size = 0
    for place, folders, names in os.walk(folder, onerror=_fail):
        for name in sorted([*folders, *names]):
            path = Path(place, name)
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            relative = path.relative_to(folder).as_posix()
            if not stat.S_ISREG(status.st_mode) or not ARTIFACT_NAME.fullmatch(relative):
                raise _CannotBeKept("it has links, or names that are not allowed")
            if len(relative) > _NAME_CHARACTERS:
                raise _CannotBeKept(f"it has paths of more than {_NAME_CHARACTERS} characters")
            count, size = count + 1, size + status.st_size
            if count > _MOST_FILES or size > _MOST_BYTES:
                raise _CannotBeKept(f"it has more than {_MOST_FILES} files, or than {_MOST_BYTES} bytes")
            yield relative, path


def _fail(error: OSError) -> None:
    raise error


def _figures(told: Mapping[str, Any]) -> dict[str, float | None]:
    """Figures by name; None for what is not finite, as after a loss that diverged."""
    figures = {str(name): float(value) for name, value in told.items()}
    if len(figures) > _MOST_FIGURES or any(len(name) > _NAME_CHARACTERS for name in figures):
        raise _CannotBeKept(f"it has more than {_MOST_FIGURES} figures, or names of more than {_NAME_CHARACTERS}")
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
