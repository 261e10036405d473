"""Finds bytes that no record names: a killed worker's uploads, a lost lease's artefacts, faces and models, old
checkpoints.

Also what a killed process left of its contract check, and half-written files of a local store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from saccade_core.blobs import Blobs
from saccade_core.ids import owner_of
from saccade_core.records import galleries, model_removal, models, repair
from saccade_core.records.database import Database

log = logging.getLogger(__name__)

_AT_ONCE = 500


def remove_forgotten(db: Database, blobs: Blobs, age_s: float, may_go_on: Callable[[], bool] = lambda: True) -> int:
    """Remove what is older than ``age_s`` seconds and belongs to no job or file any more; how many objects.

    Ends early once ``may_go_on()``, asked at each object, is false.
    """
    before = datetime.now(UTC) - timedelta(seconds=age_s)

    def old(prefix: str) -> Iterator[list[str]]:
        found = takewhile(lambda _: may_go_on(), blobs.list(prefix))
        return _chunks(stat.key for stat in found if stat.modified < before)

    removed = blobs.remove_stale_parts(age_s)
    for keys in old("jobs/"):
        removed += _delete(blobs, _forgotten_of_jobs(db, keys))
    for keys in old("files/"):
        removed += _delete(blobs, repair.unknown_file_keys(db, keys))
    for keys in old("galleries/"):
        removed += _delete(blobs, _forgotten_of_galleries(db, keys))
    for keys in old("models/"):
        removed += _delete(blobs, _forgotten_of_models(db, keys))
    for keys in old("contract-check/"):
        removed += _delete(blobs, keys)
    if removed:
        log.info("removed %d forgotten objects", removed)
    return removed


def _chunks(keys: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(keys, _AT_ONCE)):
        yield chunk


def _delete(blobs: Blobs, keys: list[str]) -> int:
    blobs.delete(keys)
    return len(keys)


def _forgotten_of_jobs(db: Database, keys: list[str]) -> list[str]:
    owners = {key: owner_of(key) for key in keys}
    known = repair.jobs_of_prefixes(db, {job_id for job_id, _ in owners.values()})
    return [key for key, (job_id, rest) in owners.items() if _is_forgotten(rest, known.get(job_id))]


def _forgotten_of_galleries(db: Database, keys: list[str]) -> list[str]:
    """Keys are ``galleries/{gallery id}/{face id}/{picture}``."""
    known = galleries.known_faces(db, sorted({_face_of(key) for key in keys}))
    return [key for key in keys if _face_of(key) not in known]


def _forgotten_of_models(db: Database, keys: list[str]) -> list[str]:
    """Keys of versions that are on record in no state; registered weights, which are beside them, stay."""
    versions = {key: version for key in keys if (version := models.version_of(key)) is not None}
    unknown = model_removal.unknown_versions(db, sorted(set(versions.values())))
    return [key for key, version in versions.items() if version in unknown]


def _face_of(key: str) -> str:
    return key.rpartition("/")[0].rpartition("/")[2]


def _is_forgotten(rest: str, known: repair.KnownJob | None) -> bool:
    """Keys are ``{token}/{name}`` or ``checkpoints/{name}`` within the folder of the job, or of the part."""
    if known is None:
        return True
    first = rest.partition("/")[0]
    return known.final if first == "checkpoints" else first != str(known.token)
