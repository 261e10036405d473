"""What any database can hold as JSON."""

from __future__ import annotations

import math
import re
from typing import Any

_BAD = re.compile("[\0\ud800-\udfff]")


def storable(value: Any) -> Any:
    """``value`` (of JSON's types) as SQLite and PostgreSQL both take it.

    NUL characters, which PostgreSQL refuses and recognised text may contain, are removed; lone surrogates, which
    UTF-8 cannot say, become U+FFFD; numbers that are not finite, which JSON does not have, become None.
    """
    match value:
        case str():
            return _BAD.sub(lambda found: "" if found[0] == "\0" else "\ufffd", value)
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [storable(item) for item in value]
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case _:
            return value
