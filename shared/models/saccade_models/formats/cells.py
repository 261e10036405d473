"""Words from outside as cells of a table that a spreadsheet may open."""

from __future__ import annotations

import re

#: With these (also in full width) a spreadsheet takes a cell for a formula, which may send data away or start programs.
_BEGINS_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*%?")


def cell(word: str) -> str:
    """``word`` with an apostrophe before it where a spreadsheet could take it for a formula; numbers with a sign are
    none. After OWASP's "CSV Injection"; the csv module does the quoting."""
    return f"'{word}" if _BEGINS_FORMULA.match(word) and not _NUMBER.fullmatch(word) else word
