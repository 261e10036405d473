"""Parquet files as cells of text."""

from __future__ import annotations

import polars as pl

from saccade_core.kind import InputFile
from saccade_models.tables.caps import Caps, broken

#: Polars' own errors, and what it throws where a lying file makes its native code panic (no Exception).
_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OverflowError)


def read_parquet(file: InputFile) -> tuple[pl.DataFrame, list[str]]:
    """All columns of scalars as String, null where nothing is, and the names of the others (nested, bytes).

    The file's own counts are held against the caps before anything is read by them.
    """
    caps = Caps(file)
    try:
        schema = pl.read_parquet_schema(file.path)
        caps.columns(len(schema))
        caps.rows = int(pl.scan_parquet(file.path, glob=False).select(pl.len()).collect().item())
        caps.cells = caps.rows * len(schema)
        caps.check()
        scalar = {name: kind for name, kind in schema.items() if not _is_other(kind)}
        frame = pl.scan_parquet(file.path, glob=False).select(list(scalar)).collect()
        if scalar and frame.height != caps.rows:
            raise broken(file, f"it says that it has {caps.rows} rows, and has {frame.height}")
        frame = frame.select(_as_text(name, kind) for name, kind in scalar.items())
        _check_text(frame, caps)
    except _FAILURES as error:
        raise broken(file, "it is not, or not wholly, what a Parquet file must be") from error
    return frame, [name for name in schema if name not in scalar]


def _is_other(kind: pl.DataType) -> bool:
    return kind.is_nested() or isinstance(kind, pl.Binary | pl.Object | pl.Unknown)


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    if kind.is_temporal():
        return pl.col(name).dt.to_string("iso")
    return pl.col(name).cast(pl.String)


def _check_text(frame: pl.DataFrame, caps: Caps) -> None:
    for column in frame.iter_columns():
        lengths = column.str.len_bytes()
        caps.longest(int(lengths.max() or 0))  # pyright: ignore[reportArgumentType] (of integers it is one)
        caps.text += int(lengths.sum())
    caps.check()
