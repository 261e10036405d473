"""Brings a job's inputs to local files, wherever their references point."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore

from saccade_core.blobs import Blobs, failing
from saccade_core.data_uri import decode_data_uri
from saccade_core.errors import (
    FetchFailed,
    FetchRefused,
    InputTooLarge,
    NotFound,
    UnreadableInput,
    UnsupportedMediaType,
)
from saccade_core.kind import InputFile, Kind
from saccade_core.media_types import media_type_of
from saccade_core.records.database import Database
from saccade_core.records.files import get_file
from saccade_core.records.lookups import get_artifact
from saccade_core.records.tables import FileRow, JobRow
from saccade_core.s3 import s3_store
from saccade_worker.fetch_url import fetch_url
from saccade_worker.input_cache import InputCache
from saccade_worker.settings import WorkerSettings

_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Fetcher:
    """Fetches references of one job into one folder."""

    def __init__(
        self,
        settings: WorkerSettings,
        db: Database,
        blobs: Blobs,
        check: Callable[[], None],
        cache: InputCache | None = None,
        *,
        known: Mapping[str, FileRow] | None = None,
    ) -> None:
        """``known`` are records of uploaded files that need not be looked up."""
        self._settings = settings
        self._db = db
        self._blobs = blobs
        self._cache = cache
        self._known = known or {}
        self._stop_check = check
        self._left = settings.max_input_bytes
        self._give_up = time.monotonic() + settings.fetch_limit_s

    def fetch_all(self, job: JobRow, kind: Kind, folder: Path) -> dict[str, list[InputFile]]:
        """All inputs of the job by name. Raises FetchRefused, FetchFailed, StorageFailed and the like."""
        found: dict[str, list[InputFile]] = {}
        for name, value in job.inputs.items():
            references: list[Any] = value if isinstance(value, list) else [value]
            found[name] = []
            for index, reference in enumerate(references):
                self._check()
                field = f"inputs.{name}[{index}]" if isinstance(value, list) else f"inputs.{name}"
                file = self._fetch(job.project, str(reference), folder / name / str(index), field)
                if not kind.inputs[name].takes(file.media_type):
                    raise UnsupportedMediaType(
                        f"Input '{name}' takes {', '.join(kind.inputs[name].accepts)}; this is {file.media_type}.",
                        field=field,
                        received=file.media_type,
                    )
                found[name].append(file)
        return found

    def _fetch(self, project: str, reference: str, folder: Path, field: str) -> InputFile:
        folder.mkdir(parents=True, exist_ok=True)
        scheme = reference.partition(":")[0]
        try:
            if reference.startswith("file_"):
                return self._uploaded(project, reference, folder, field)
            if reference.startswith("job_"):
                return self._artifact(project, reference, folder, field)
            if scheme == "data":
                return self._data_uri(reference, folder, field)
            if scheme in ("http", "https"):
                return self._url(reference, folder, field)
            if scheme == "s3":
                return self._bucket(reference, folder, field)
        except NotFound as error:
            raise UnreadableInput(f"{reference} is not there any more.", field=field, received=reference) from error
        raise FetchRefused("An input of this form is not known.", field=field, received=scheme)

    def _uploaded(self, project: str, reference: str, folder: Path, field: str) -> InputFile:
        row = self._known.get(reference)
        if row is None or row.project != project:
            row = get_file(self._db, project, reference)
        path = folder / _safe_name(row.name)
        self._spend(row.bytes, field)
        self._stored(row.key, row.sha256, path)
        return InputFile(path, row.name, row.media_type, field, row.sha256)

    def _artifact(self, project: str, reference: str, folder: Path, field: str) -> InputFile:
        job_id, _, name = reference.partition("/")
        row = get_artifact(self._db, project, job_id, name)
        path = folder / _safe_name(row.name)
        self._spend(row.bytes, field)
        self._stored(row.key, row.sha256, path)
        return InputFile(path, row.name, row.media_type, field, row.sha256)

    def _stored(self, key: str, sha256: str, path: Path) -> None:
        def fetch(to: Path) -> None:
            self._blobs.get_file(key, to, check=self._check)

        if self._cache is None:
            fetch(path)
        else:
            self._cache.bring(key, sha256, path, fetch)

    def _data_uri(self, reference: str, folder: Path, field: str) -> InputFile:
        try:
            data = decode_data_uri(reference)
        except ValueError as error:
            raise UnreadableInput(str(error), field=field) from None
        path = folder / "data"
        path.write_bytes(data)
        return _recognised(InputFile(path, "data", "", field, hashlib.sha256(data).hexdigest()))

    def _url(self, reference: str, folder: Path, field: str) -> InputFile:
        name = _safe_name(Path(urlsplit(reference).path).name)
        path = folder / name
        fetched = fetch_url(reference, path, max_bytes=self._left, field=field, check=self._check)
        self._spend(fetched.bytes, field)
        return InputFile(path, name, fetched.media_type, field, fetched.sha256)

    def _bucket(self, reference: str, folder: Path, field: str) -> InputFile:
        bucket, _, key = reference.removeprefix("s3://").partition("/")
        if bucket not in self._settings.fetch_buckets:
            raise FetchRefused(f"Bucket {bucket!r} is not on the list of allowed ones.", field=field, received=bucket)
        path = folder / _safe_name(key)
        # Another's bucket may have keys of any form, so this goes past our own store and its rule for keys.
        store = s3_store(self._settings.model_copy(update={"blobs_url": f"s3://{bucket}"}))
        with failing("give", reference), path.open("wb") as file:
            for chunk in obstore.get(store, key).stream():
                self._check()
                self._spend(len(chunk), field)
                file.write(chunk)
        return _recognised(InputFile(path, path.name, "", field, _sha256(path)))

    def _spend(self, size: int, field: str) -> None:
        """Count bytes against what all inputs of the job may have."""
        self._left -= size
        if self._left < 0:
            limit = self._settings.max_input_bytes
            raise InputTooLarge(f"All inputs of a job may have {limit} bytes together; these have more.", field=field)

    def _check(self) -> None:
        self._stop_check()
        if time.monotonic() > self._give_up:
            raise FetchFailed(f"The inputs were not here within {self._settings.fetch_limit_s:.0f} s.")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _recognised(file: InputFile) -> InputFile:
    with file.path.open("rb") as stream:
        return replace(file, media_type=media_type_of(stream.read(8192), file.name))


def _safe_name(name: str) -> str:
    """A file name of plain letters that keeps its extension: libraries look at it, and shells may."""
    return (_SAFE.sub("_", Path(name).name).lstrip(".-") or "input")[-100:]
