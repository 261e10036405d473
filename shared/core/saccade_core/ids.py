"""Identifiers: a prefix that says what it names, then 26 letters and digits that sort by time of making.

The form is that of ULID (https://github.com/ulid/spec), in lower case: 48 bits of milliseconds, 80 random bits.
"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``job_01k8m3...``."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def part_id(job_id: str, index: int) -> str:
    """The id of one part of a job that was split: ``job_01k8m3....p0003``."""
    return f"{job_id}.p{index:04d}"


def parent_of(job_id: str) -> str | None:
    """The id of the job that this one is a part of; None where it is no part."""
    parent, dot, _ = job_id.partition(".p")
    return parent if dot else None


def folder_of(job_id: str) -> str:
    """Where a job's bytes are in the object store: ``jobs/{id}/``; a part's are within its job's, so that they go
    with it: ``jobs/{id}/parts/0003/``."""
    parent, _, index = job_id.partition(".p")
    return f"jobs/{parent}/parts/{index}/" if index else f"jobs/{parent}/"


def owner_of(key: str) -> tuple[str, str]:
    """The job that a key under ``jobs/`` is of, and the rest of the key within that job's folder."""
    job_id, _, rest = key.removeprefix("jobs/").partition("/")
    if not rest.startswith("parts/"):
        return job_id, rest
    index, _, rest = rest.removeprefix("parts/").partition("/")
    return f"{job_id}.p{index}", rest
