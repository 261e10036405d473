"""Brings the trained models that a run uses: from this machine's cache, else from the object store, checked.

The cache has each file under its SHA-256, so versions that share one have it once. It is no more than a cache: what
has not been used for longest goes when it is full.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from saccade_core.assets import cache_folder, file_lock, is_right
from saccade_core.blobs import Blobs, Check
from saccade_core.errors import ModelMissing, NotFound, UnknownModel
from saccade_core.kind import Kind, ModelFiles
from saccade_core.records import model_uses, models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.records.tables import JobRow
from saccade_core.trained import SERVED_FAMILIES, Wanted, may_serve, served_name

_CACHE_BYTES = 20 << 30
#: What was used as lately as this is kept: a run may be about to open it.
_KEPT_S = 3600.0


class TrainedModels:
    """The versions that users trained, as files on this machine."""

    def __init__(self, db: Database, blobs: Blobs, cache_bytes: int = _CACHE_BYTES) -> None:
        self._db = db
        self._blobs = blobs
        self._cache_bytes = cache_bytes

    def bring(self, job: JobRow, kind: Kind, wanted: Wanted, check: Check) -> ModelFiles:
        """The checked files of the version that the job's project has under the name; ``check`` may end a transfer.

        All runs of a job get the same version, which is not deleted before the job has ended. A kind that predicts
        gets ``preprocess``, and ``onnx`` where the model server will not answer for the version.

        Raises UnknownModel; InvalidParams for a model of a family that the kind does not take; ModelMissing where the
        object store has other bytes than were registered.
        """
        row = model_uses.use(self._db, job.project, job.parent_id or job.id, wanted)
        models.require_family(row, kind.families)
        facts = {**(row.facts or {}), "family": row.family, "trained": True}
        roles = row.roles or {}
        if kind.predicts:
            facts["served_name"] = served_name(row.project, row.name)
            facts["may_serve"] = row.family in SERVED_FAMILIES and may_serve(row.checks or {})
            facts["serving_error"] = row.serving_error if row.serving == "failed" else None
            served = (
                facts["may_serve"] and not facts["serving_error"] and os.environ.get("SACCADE_SERVING_URL")
            )  # as the run will find it
            needed = {"preprocess"} if served else {"preprocess", "onnx"}
            roles = {role: path for role, path in roles.items() if role in needed}
            models.want(self._db, row.project, row.name, row.version)
        files: dict[str, dict[str, Any]] = row.files or {}
        paths = {role: self._file(row, path, files[path], check) for role, path in roles.items()}
        return ModelFiles(row.name, str(row.version), row.sha256 or "", paths, facts)

    def _file(self, row: ModelVersionRow, path: str, file: dict[str, Any], check: Check) -> Path:
        sha256, size = str(file["sha256"]), int(file["bytes"])
        cached = _folder() / sha256 / Path(path).name
        with file_lock(cached):
            if not is_right(cached, sha256, size):
                self._fetch(row, cached, file, check)
                make_room(self._cache_bytes)
            os.utime(cached, ns=(time.time_ns(), cached.stat().st_mtime_ns))  # used now; by its mtime it is known
        return cached

    def _fetch(self, row: ModelVersionRow, cached: Path, file: dict[str, Any], check: Check) -> None:
        part = cached.with_name(f"{cached.name}.part")
        try:
            self._blobs.get_file(str(file["key"]), part, check=check)
            if not is_right(part, str(file["sha256"]), int(file["bytes"])):
                raise ModelMissing(
                    f"A file of {row.name}@{row.version} in the object store has other bytes than were registered.",
                    received=f"{row.name}@{row.version}",
                )
            part.replace(cached)
        except NotFound as error:
            raise UnknownModel(
                f"The files of {row.name}@{row.version} are not in the object store: it was deleted.",
                received=f"{row.name}@{row.version}",
            ) from error
        finally:
            part.unlink(missing_ok=True)


def make_room(most_bytes: int) -> None:
    """Remove from the cache what was used longest ago, until it holds no more than ``most_bytes``."""
    found: list[tuple[float, int, Path]] = []
    for folder in _folder().iterdir():
        with suppress(OSError):  # another process's tidying
            stats = [path.stat() for path in folder.iterdir()]
            used_at = max((max(s.st_atime, s.st_mtime) for s in stats), default=time.time())
            found.append((used_at, sum(s.st_size for s in stats), folder))
    total = sum(size for _, size, _ in found)
    for used_at, size, folder in sorted(found):
        if total <= most_bytes or time.time() - used_at < _KEPT_S:
            return
        shutil.rmtree(folder, ignore_errors=True)
        total -= size


def _folder() -> Path:
    return cache_folder() / "trained"
