"""The folder that the model server reads SavedModels from, as ``{served name}/{version}/``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from saccade_core.blobs import Blobs, check_key
from saccade_core.errors import StorageFailed
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.trained import served_name
from saccade_models.serving.client import ServedModel, config_text

Place = tuple[str, int]
"""A served name and a version."""

_SAVED_MODEL = "saved_model/"
#: What is being copied, or removed, beside the folders of the models.
_WORK = ".work"
#: What was last touched so long ago in there is of a keeper that was killed.
_FORGOTTEN_S = 3600.0
#: Written last into a version's folder: which files it is a whole copy of.
_WHOLE = ".saccade-whole"
_CONFIG = "models.config"


class OtherBytes(StorageFailed):
    """The stored files are not those that were registered: another try gives the same."""


def place_of(row: ModelVersionRow) -> Place:
    """Where the version is served."""
    return served_name(row.project, row.name), row.version


def saved_model_bytes(row: ModelVersionRow) -> int:
    """How large the version's SavedModel is."""
    return sum(int(file["bytes"]) for file in _files(row).values())


class ServingFolder:
    """The copies. Any number of keepers may use it at once: each copies to a place of its own, and a rename into place
    makes a version be there wholly or not at all."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self.path = folder.absolute()
        self._blobs = blobs

    def has(self, row: ModelVersionRow) -> bool:
        """Whether the version's SavedModel is there wholly, and is the registered one by its digests."""
        try:
            return (self._of(place_of(row)) / _WHOLE).read_text("utf-8") == _digest(row)
        except OSError:
            return False

    def copy(self, row: ModelVersionRow, check: Callable[[], None]) -> None:
        """Copy the version, in place of what is there; ``check`` may end it.

        Raises OtherBytes, NotFound, StorageFailed, OSError.
        """
        self._tidy()
        target, work = self._of(place_of(row)), self._work(place_of(row))
        try:
            for path, file in _files(row).items():
                local = work / check_key(path)
                local.parent.mkdir(parents=True, exist_ok=True)
                self._blobs.get_file(file["key"], local, check=check)
                if _sha256(local) != file["sha256"]:
                    raise OtherBytes(f"The stored file '{_SAVED_MODEL}{path}' is not what was registered.")
                _sync(local)
            work.mkdir(parents=True, exist_ok=True)
            (work / _WHOLE).write_text(_digest(row), "utf-8")
            _sync(work / _WHOLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.remove(place_of(row))
            work.rename(target)
        except OSError:
            if not self.has(row):  # else another keeper was faster
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def distrust(self, place: Place) -> None:
        """Take the copy for a bad one: the next ``copy`` replaces it."""
        (self._of(place) / _WHOLE).unlink(missing_ok=True)

    def remove(self, place: Place) -> bool:
        """Remove a version at once: half of it must never be seen. Whether it was there."""
        trash = self._work(place)
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._of(place).rename(trash)
        except FileNotFoundError:
            return False
        shutil.rmtree(trash, ignore_errors=True)
        return True

    def remove_empty(self, name: str) -> None:
        """Remove a model's folder where it has no version."""
        with suppress(OSError):
            (self.path / name).rmdir()

    def places(self) -> Iterator[Place]:
        """The versions that are there."""
        if not self.path.is_dir():
            return
        for model in self.path.iterdir():
            if model.is_dir() and model.name != _WORK:
                for version in model.iterdir():
                    if version.name.isdecimal() and version.is_dir():
                        yield model.name, int(version.name)

    def write_config(self, models: Sequence[ServedModel]) -> None:
        """What TensorFlow Serving reads when it starts (``--model_config_file``): it needs one to start at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        new = self.path / f"{_CONFIG}.{uuid.uuid4().hex}"
        new.write_text(config_text(models), "utf-8")
        new.replace(self.path / _CONFIG)

    def has_config(self) -> bool:
        """Whether there is one."""
        return (self.path / _CONFIG).exists()

    def _of(self, place: Place) -> Path:
        return self.path / place[0] / str(place[1])

    def _work(self, place: Place) -> Path:
        return self.path / _WORK / f"{place[0]}-{place[1]}-{uuid.uuid4().hex}"

    def _tidy(self) -> None:
        """Remove what killed keepers left."""
        with suppress(OSError):
            for left in (self.path / _WORK).iterdir():
                if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(left, ignore_errors=True)


def _files(row: ModelVersionRow) -> dict[str, dict[str, Any]]:
    """The SavedModel's files, by their paths in it."""
    files: dict[str, dict[str, Any]] = row.files or {}
    return {path.removeprefix(_SAVED_MODEL): file for path, file in files.items() if path.startswith(_SAVED_MODEL)}


def _digest(row: ModelVersionRow) -> str:
    said = json.dumps({path: file["sha256"] for path, file in _files(row).items()}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
