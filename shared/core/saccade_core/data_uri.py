"""``data:`` URIs (RFC 2397), as inputs may be given."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

_DATA = re.compile(r"data:([^,]{0,200}),(.*)", re.DOTALL)


def decode_data_uri(text: str) -> bytes:
    """The bytes of a ``data:`` URI; ValueError where it is none, or its base64 is broken."""
    found = _DATA.fullmatch(text)
    if found is None:
        raise ValueError("A data: URI is data:TYPE;base64,BYTES.")
    data = unquote_to_bytes(found[2])
    if not found[1].lower().replace(" ", "").endswith(";base64"):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise ValueError("The data: URI's base64 is broken.") from None
