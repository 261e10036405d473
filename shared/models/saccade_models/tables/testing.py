"""Tables for tests."""

from __future__ import annotations

from pathlib import Path

from saccade_core.kind import InputFile
from saccade_models.tables.read import Table, read_table


def input_of(path: Path) -> InputFile:
    """The file as a runner gets it."""
    return InputFile(path, path.name, "application/octet-stream", "inputs.table")


def csv_table(folder: Path, text: str, encoding: str = "utf-8") -> Table:
    """``text`` as a file, read."""
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(input_of(path))
