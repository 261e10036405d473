"""Finds bytes that no record names: a killed worker's uploads, a lost lease's artefacts, old checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from saccade_core.blobs import Blobs
from saccade_core.records import repair
from saccade_core.records.database import Database

log = logging.getLogger(__name__)

_AT_ONCE = 500


def remove_forgotten(db: Database, blobs: Blobs, age_s: float) -> int:
    """Remove what is older than ``age_s`` seconds and belongs to no job or file any more; how many objects."""
    before = datetime.now(UTC) - timedelta(seconds=age_s)
    old = (stat.key for stat in blobs.list("jobs/") if stat.modified < before)
    removed = sum(_remove_of_jobs(db, blobs, keys) for keys in _chunks(old))
    old = (stat.key for stat in blobs.list("files/") if stat.modified < before)
    for keys in _chunks(old):
        unknown = repair.unknown_file_keys(db, keys)
        blobs.delete(unknown)
        removed += len(unknown)
    if removed:
        log.info("removed %d forgotten objects", removed)
    return removed


def _chunks(keys: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(keys, _AT_ONCE)):
        yield chunk


def _remove_of_jobs(db: Database, blobs: Blobs, keys: list[str]) -> int:
    known = repair.jobs_of_prefixes(db, {key.split("/")[1] for key in keys})
    forgotten = [key for key in keys if _is_forgotten(key, known.get(key.split("/")[1]))]
    blobs.delete(forgotten)
    return len(forgotten)


def _is_forgotten(key: str, known: repair.KnownJob | None) -> bool:
    """Keys are ``jobs/{id}/{token}/{name}`` or ``jobs/{id}/checkpoints/{name}``."""
    if known is None:
        return True
    part = key.split("/")[2]
    return known.final if part == "checkpoints" else part != str(known.token)
