"""Rows of CSV files: encoding and delimiter are found out."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper

from saccade_core.errors import InputTooLarge
from saccade_core.kind import InputFile
from saccade_models.tables.caps import MAX_CELL, broken

#: Of two that fit alike the first: a comma is in words and numbers too.
_DELIMITERS = (";", "\t", "|", ",")
#: Bytes that Windows-1252 has no character for.
_NOT_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_CHUNK = 4 << 20
#: Characters of one line: MAX_COLUMNS cells of the usual size, and then some.
_MAX_LINE = 16 << 20
#: The delimiter is found out on so many first rows.
_SNIFFED = 50

Row = tuple[int, list[str | None]]


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV file is written."""

    encoding: str
    delimiter: str


def csv_form(file: InputFile, step: Callable[[], None]) -> CsvForm:
    """Find out encoding and delimiter; UnreadableInput where the bytes are no text."""
    encoding = _encoding(file, step)
    head: list[str] = []
    with _lines(file, encoding) as lines:
        for line in lines:
            head.append(line)
            if len(head) == _SNIFFED or sum(map(len, head)) > _CHUNK:
                break
    return CsvForm(encoding, max(_DELIMITERS, key=lambda delimiter: _likeness(head, delimiter)))


def csv_rows(file: InputFile, form: CsvForm) -> Generator[Row]:
    """Each record's number, as a spreadsheet counts (from 1), and its cells as they are; blank lines have none."""
    csv.field_size_limit(MAX_CELL)
    number = 0
    with _lines(file, form.encoding) as lines:
        try:
            for number, record in enumerate(csv.reader(lines, delimiter=form.delimiter, strict=True), start=1):
                yield number, list(record)
        except csv.Error as error:
            raise broken(file, f"row {number + 1} is not well-formed CSV ({error})") from None


def _encoding(file: InputFile, step: Callable[[], None]) -> str:
    """By its byte order mark, or UTF-8 where all bytes are, else Windows-1252 (Latin-1 where a byte is none of it)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding, other = "utf-8", "cp1252"
    with file.path.open("rb") as stream:
        head = stream.read(3)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        stream.seek(0)
        while chunk := stream.read(_CHUNK):
            step()
            if b"\0" in chunk:
                raise broken(file, "it is no text: it holds zero bytes")
            if any(byte in chunk for byte in _NOT_CP1252):
                other = "latin-1"
            try:
                if encoding == "utf-8":
                    decoder.decode(chunk)
            except UnicodeDecodeError:
                encoding = ""
        try:
            decoder.decode(b"", final=encoding == "utf-8")
        except UnicodeDecodeError:
            encoding = ""
    return "utf-8-sig" if encoding and head == codecs.BOM_UTF8 else encoding or other


@contextmanager
def _lines(file: InputFile, encoding: str) -> Generator[Iterator[str]]:
    """Lines with their ends, as the csv module wants them; none longer than _MAX_LINE."""

    def limited(stream: TextIOWrapper) -> Generator[str]:
        while line := stream.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise InputTooLarge(
                    f"A line of a CSV may have at most {_MAX_LINE:,} characters.", field=file.field, received=file.name
                )
            yield line

    with file.path.open(encoding=encoding, newline="") as stream:
        try:
            yield limited(stream)
        except UnicodeError:
            raise broken(file, f"its bytes are not all {encoding}") from None


def _likeness(head: list[str], delimiter: str) -> float:
    """How much a delimiter looks like the right one: cells of the header, times the share of rows with as many."""
    counts: list[int] = []
    try:
        counts.extend(len(record) for record in csv.reader(head, delimiter=delimiter) if record)
    except csv.Error:
        return 0.0
    if not counts or counts[0] < 2:
        return 0.0
    return counts[0] * sum(count == counts[0] for count in counts) / len(counts)
