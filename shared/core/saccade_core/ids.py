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
