"""How results are written: one section of Markdown for each measurement."""

from __future__ import annotations

from collections.abc import Sequence


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A heading, a table, and a line below it."""
    lines = [f"## {title}", "", _line(header), "|" + "---|" * len(header), *(_line(row) for row in rows)]
    return "\n".join([*lines, "", note] if note else lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def beside(rate: float, *others: float, digits: int = 2) -> list[str]:
    """``rate`` as a multiple of each of the others."""
    return [f"{rate / other:.{digits}f}" for other in others]
