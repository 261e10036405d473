"""Versions of trained models as a training leaves them, without the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from saccade_core.blobs import Blobs
from saccade_core.records import leases, models
from saccade_core.records.database import Database
from saccade_core.records.models import StoredModel
from servers.records import accepted, claimed


def register_version(
    db: Database, blobs: Blobs, name: str, folder: Path, preprocess: BaseModel, project: str = "default", **more: Any
) -> int:
    """A new version of the model whose SavedModel is ``folder``; its number."""
    saved = {
        f"saved_model/{f.relative_to(folder).as_posix()}": f.read_bytes() for f in folder.rglob("*") if f.is_file()
    }
    files = {"model.h5": b"weights", "preprocess.json": preprocess.model_dump_json().encode(), **saved}
    roles = {"weights": "model.h5", "preprocess": "preprocess.json"}
    return register_files(db, blobs, name, files, project, roles=roles, **more)


def register_files(
    db: Database, blobs: Blobs, name: str, contents: Mapping[str, bytes], project: str = "default", **more: Any
) -> int:
    """A new version of the model with these files, ``model.h5`` among them, and values of StoredModel; its number."""
    job = claimed(db, accepted(db, project=project).id)
    version = models.reserve(db, project, name, job.id)
    prefix = models.prefix_of(project, name, version)
    files: dict[str, Mapping[str, Any]] = {}
    for path, data in contents.items():
        stored = blobs.put_bytes(f"{prefix}{path}", data, "application/octet-stream")
        files[path] = {"key": f"{prefix}{path}", "bytes": stored.bytes, "sha256": stored.sha256}
    values: dict[str, Any] = {
        "family": "tabular",
        "roles": {"weights": "model.h5"},
        "metrics": {},
        "facts": {"labels": []},
        "checks": {"saved_model": 0.0},
        "lineage": {},
        **more,
    }
    leases.succeed(
        db,
        job.id,
        job.token,
        result={},
        artifacts=[],
        provenance={},
        progress={},
        also=lambda session: models.register(session, project, job.id, version, StoredModel(files=files, **values)),
    )
    return version
