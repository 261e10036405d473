"""Brings the models that a run needs: from this machine, else from the object store, never from the web.

Registered weights are here; what users trained is in saccade_worker.trained_models. The first worker that has a
model's files keeps them in the store, under ``models/weights/<sha256>/``; one that lacks
them takes them from there into its cache. What the store gives is checked as everything else is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from saccade_core.assets import Asset, cached_path, file_lock, is_right
from saccade_core.blobs import Blobs, Check
from saccade_core.errors import InvalidParams, NotFound, StorageFailed, UnknownModel
from saccade_core.kind import Kind, ModelFiles
from saccade_core.records.tables import JobRow
from saccade_core.trained import field_of
from saccade_kinds import registry
from saccade_models import derived
from saccade_models.weights import ModelVersion, local_version, missing, trained_wanted, versions
from saccade_worker.trained_models import TrainedModels

log = logging.getLogger(__name__)

_BINARY = "application/octet-stream"


class Models:
    """What the runs of one worker process need of models."""

    def __init__(self, blobs: Blobs, trained: TrainedModels | None = None) -> None:
        """Without ``trained``, registered weights are all there is."""
        self._blobs = blobs
        self._trained = trained
        self._kept: set[str] = set()

    def for_run(self, kind: Kind, job: JobRow, check: Check) -> dict[str, ModelFiles]:
        """What a run of the job declares that it needs, by the names that its params say: registered weights as
        ``bring``, trained models of the kind's families as TrainedModels.bring.

        Raises what those do, and errors.InvalidParams where the params do not fit this version of the kind.
        """
        try:
            params = registry.validate_params(kind, job.params)
        except ValidationError as error:
            raise InvalidParams(f"The parameters do not fit this version: {error.errors()[0]}") from error
        found: dict[str, ModelFiles] = {}
        for name in kind.models(params):
            try:
                wanted = trained_wanted(kind, name)
                if wanted is None or self._trained is None:
                    found[name] = self._bring(name, check)
                else:
                    found[name] = self._trained.bring(job, kind, wanted, check)
            except (UnknownModel, InvalidParams) as error:
                error.field = field_of(params, name)
                raise
        return found

    def bring(self, names: Iterable[str], check: Check) -> dict[str, ModelFiles]:
        """The checked files of each name (``yolo11n``, ``yolo11n@8.3.0``); ``check`` may end a long transfer.

        Raises errors.ModelMissing, which names the command that gets the model; errors.InvalidParams for a name that
        is not registered.
        """
        return {name: self._bring(name, check) for name in dict.fromkeys(names)}

    def _bring(self, name: str, check: Check) -> ModelFiles:
        for version in versions(name):
            here = local_version(version)
            if here is not None:
                self._keep(version, here, check)
                return here
        for version in versions(name):
            taken = self._take(version, check)
            if taken is not None:
                log.info("%s@%s came from the object store", version.name, version.version)
                return taken
        raise missing(name)

    def _keep(self, version: ModelVersion, here: ModelFiles, check: Check) -> None:
        """See to it that the store has the files; a store that does not take them fails no job."""
        if version.sha256 in self._kept:
            return
        try:
            for role, file in version.files.items():
                if isinstance(file, Asset):
                    self._put(_key(file), here.files[role], file.sha256, check)
            if version.exported:
                sha256 = str(here.facts["onnx_sha256"])
                self._put(_form_key(version, sha256), here.files["onnx"], sha256, check)
                record = _record_key(version)
                if self._blobs.head(record) is None:  # written last: a form without its record is none
                    self._blobs.put_file(record, derived.folder(version.sha256) / derived.RECORD, "application/json")
            self._kept.add(version.sha256)
        except (StorageFailed, OSError) as error:
            log.warning("%s is not kept in the object store: %s", version.name, error)

    def _put(self, key: str, path: Path, sha256: str, check: Check) -> None:
        if self._blobs.head(key) is not None:
            return
        if self._blobs.put_file(key, path, _BINARY, check=check).sha256 != sha256:  # altered since it was looked at
            self._blobs.delete([key])

    def _take(self, version: ModelVersion, check: Check) -> ModelFiles | None:
        """The version's files with what is missing taken from the store; None where that lacks any."""
        try:
            for file in version.files.values():
                if isinstance(file, Asset):
                    self._take_file(file, check)
            if version.exported and derived.find(version.sha256) is None:
                self._take_form(version, check)
        except NotFound:
            return None
        return local_version(version)

    def _take_file(self, file: Asset, check: Check) -> None:
        cached = cached_path(file)
        if is_right(cached, file.sha256, file.bytes):
            return
        part = cached.with_name(f"{cached.name}.part")
        with file_lock(cached):
            try:
                self._get(_key(file), part, file.sha256, file.bytes, check).replace(cached)
            finally:
                part.unlink(missing_ok=True)

    def _take_form(self, version: ModelVersion, check: Check) -> None:
        with derived.making(version.sha256) as work:
            record_file = work / derived.RECORD
            self._blobs.get_file(_record_key(version), record_file)
            record = derived.read_record(record_file.read_bytes(), version.sha256)
            if record is None:
                raise NotFound("The store's record of a derived form is not one.")
            key = _form_key(version, record.sha256)
            made = self._get(key, work / derived.FORM, record.sha256, record.bytes, check)
            derived.place(made, record_file, record)

    def _get(self, key: str, path: Path, sha256: str, size: int, check: Check) -> Path:
        """An object as a local file with these bytes; NotFound where the store has no such."""
        stat = self._blobs.head(key)
        if stat is None or stat.bytes != size:
            raise NotFound(f"The object store has no '{key}' of {size} bytes.")
        self._blobs.get_file(key, path, check=check)
        if not is_right(path, sha256, size):
            log.error("the object store's %s has other bytes than registered", key)
            raise NotFound(f"The object store's '{key}' has other bytes than registered.")
        return path


def _key(file: Asset) -> str:
    return f"models/weights/{file.sha256}/{Path(file.path).name}"


def _record_key(version: ModelVersion) -> str:
    return f"models/weights/{version.sha256}/{derived.EXPORTER}/{derived.RECORD}"


def _form_key(version: ModelVersion, form_sha256: str) -> str:
    """Two exports of the same weights differ in their bytes, so each has a key of its own; the record names one."""
    return f"models/weights/{version.sha256}/{derived.EXPORTER}/{form_sha256}.onnx"
