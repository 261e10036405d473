"""Between a run's folder and the object store: its artefacts and its checkpoints."""

from __future__ import annotations

import mimetypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from saccade_core.blobs import Blobs, Check
from saccade_core.errors import EngineFailed, NotFound
from saccade_core.ids import folder_of
from saccade_core.kind import ARTIFACT_NAME
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.tables import JobRow

_PARALLEL_UPLOADS = 4


def store_artifacts(blobs: Blobs, job: JobRow, folder: Path, check: Check) -> list[StoredArtifact]:
    """Put what the runner wrote under this attempt's own prefix, where no other attempt writes."""

    def put(path: Path) -> StoredArtifact:
        name = path.relative_to(folder).as_posix()
        media_type = _media_type(name)
        key = f"{folder_of(job.id)}{job.token}/{name}"
        stored = blobs.put_file(key, path, media_type, check=check)
        return StoredArtifact(name, media_type, stored.bytes, stored.sha256, key)

    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    bad = [path.name for path in found if not ARTIFACT_NAME.fullmatch(path.relative_to(folder).as_posix())]
    if bad:
        raise EngineFailed(f"The runner wrote an artefact with a name that is not allowed: {bad[0][:80]!r}.")
    if len(found) <= 1:
        return [put(path) for path in found]
    with ThreadPoolExecutor(min(len(found), _PARALLEL_UPLOADS)) as pool:
        return list(pool.map(put, found))


def store_checkpoint(blobs: Blobs, job: JobRow, scratch: Path, name: str, copy: str) -> None:
    """Keep checkpoint ``name``, of which the child has just made a ``copy`` in ``scratch``, for a later attempt; the
    copy goes."""
    path = scratch / copy
    if all(ARTIFACT_NAME.fullmatch(text) for text in (name, copy)) and path.is_file() and not path.is_symlink():
        blobs.put_file(f"{_checkpoints(job)}{job.token:010d}/{name}", path, "application/octet-stream")
        path.unlink()


def fetch_checkpoints(blobs: Blobs, job: JobRow, scratch: Path) -> None:
    """Bring the checkpoints of earlier attempts: of each name the one with the highest token.

    So one that a worker stored late, when its lease was lost already, takes the place of none that came after it.
    """
    if job.token == 1:
        return
    prefix = _checkpoints(job)
    newest: dict[str, str] = {}
    for key in sorted(stat.key for stat in blobs.list(prefix)):
        newest[key.removeprefix(prefix).partition("/")[2]] = key
    for name, key in newest.items():
        path = scratch / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            blobs.get_file(key, path)
        except NotFound:
            continue


def _checkpoints(job: JobRow) -> str:
    return f"{folder_of(job.id)}checkpoints/"


def _media_type(name: str) -> str:
    if name.endswith(".hocr"):
        return "text/html"
    if name.endswith(".jsonl"):
        return "application/x-ndjson"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
