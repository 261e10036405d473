"""Finds bytes that no record names: a killed worker's uploads, a lost lease's artefacts, old checkpoints.

Also what a killed process left of its contract check, and half-written files of a local store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from saccade_core.blobs import Blobs
from saccade_core.records import repair
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
    known = repair.jobs_of_prefixes(db, {key.split("/")[1] for key in keys})
    return [key for key in keys if _is_forgotten(key, known.get(key.split("/")[1]))]


def _is_forgotten(key: str, known: repair.KnownJob | None) -> bool:
    """Keys are ``jobs/{id}/{token}/{name}`` or ``jobs/{id}/checkpoints/{name}``."""
    if known is None:
        return True
    part = key.split("/")[2]
    return known.final if part == "checkpoints" else part != str(known.token)
