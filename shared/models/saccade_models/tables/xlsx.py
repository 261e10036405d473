"""Rows of Excel workbooks (Office Open XML, ISO/IEC 29500).

Read here, not by a library: those at hand round numbers in columns that also hold text, take cells with an error for
empty ones, lose the numbers of rows, and reserve memory for every cell that two far corners span.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from saccade_core.errors import InvalidParams
from saccade_core.kind import InputFile
from saccade_models.archives import Archive, ArchiveLimits, open_archive
from saccade_models.tables.caps import MAX_COLUMNS, Caps, broken
from saccade_models.tables.csv_rows import Row
from saccade_models.tables.xml_events import Handler, read_xml, xml_pieces

_LIMITS = ArchiveLimits(files=10_000, bytes=2 << 30, file_bytes=1 << 30)
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
#: Formats of numbers that show a date, by their number (ISO/IEC 29500-1, 18.8.30).
_DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
#: A format is a date's where one of these letters stands outside of quotes, brackets and escapes.
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_DATE_LETTERS = re.compile(r"[dmyhs]", re.IGNORECASE)
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a workbook: its name and the archive's entry."""

    name: str
    entry: str


def xlsx_rows(file: InputFile, sheet: str | None, step: Step) -> tuple[str, Generator[Row]]:
    """The name of the sheet ``sheet`` (the first one where None), and its rows: number and cells as they are stored.

    Numbers are as the file has them, dates ISO 8601, truth values ``true`` and ``false``, errors ``#DIV/0!``.
    """
    with open_archive(file, _LIMITS) as archive:
        book = _Book(archive, file, step)
        chosen = book.choose(sheet)
        data = book.bytes_of(chosen.entry)
    return chosen.name, _rows(data, book, file, step)


def _rows(data: bytes, book: _Book, file: InputFile, step: Step) -> Generator[Row]:
    cells = _Cells(file, book)
    for _ in xml_pieces(data, cells, file):
        step()
        yield from cells.drain()


class _Book:
    """What a sheet's cells refer to."""

    def __init__(self, archive: Archive, file: InputFile, step: Step) -> None:
        self._archive, self._file, self._step = archive, file, step
        parts = _Parts()
        self.read("xl/workbook.xml", parts)
        self.read("xl/_rels/workbook.xml.rels", parts)
        self.sheets = [Sheet(name, entry) for name, key in parts.sheets if (entry := parts.targets.get(key))]
        self.epoch = datetime(1904, 1, 1) if parts.from_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 (has no zone)
        texts, styles = _Texts(file), _Styles()
        if "xl/sharedStrings.xml" in archive.names:
            self.read("xl/sharedStrings.xml", texts)
        if "xl/styles.xml" in archive.names:
            self.read("xl/styles.xml", styles)
        self.texts, self.dates = texts.found, styles.dates()

    def read(self, entry: str, handler: Handler) -> None:
        """Tell ``handler`` of an entry's XML."""
        read_xml(self.bytes_of(entry), handler, self._file, self._step)

    def bytes_of(self, entry: str) -> bytes:
        """An entry, unpacked."""
        if entry not in self._archive.names:
            raise broken(self._file, f"it is no Excel workbook: there is no {entry[:80]!r} in it")
        return self._archive.read(entry, _LIMITS.file_bytes)

    def choose(self, wanted: str | None) -> Sheet:
        """The sheet called so; InvalidParams, with the names there are, where none is."""
        if not self.sheets:
            raise broken(self._file, "the workbook has no sheet with cells")
        for sheet in self.sheets:
            if wanted is None or sheet.name.strip().casefold() == wanted.strip().casefold():
                return sheet
        names = ", ".join(repr(s.name[:80]) for s in self.sheets[:20])
        raise InvalidParams(
            f"The workbook has no sheet {wanted!r}; there are: {names}.", field="params.sheet", received=wanted
        )


@dataclass(slots=True)
class _Parts:
    """The workbook and its relations: sheets' names, and where they are."""

    sheets: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    targets: dict[str, str] = field(default_factory=dict[str, str])
    from_1904: bool = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            self.sheets.append((attributes.get("name", ""), attributes.get("id", "")))
        elif name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            target = attributes.get("Target", "")
            self.targets[attributes.get("Id", "")] = posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")
        elif name == "workbookPr":
            self.from_1904 = attributes.get("date1904") in {"1", "true"}

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass


class _Texts:
    """The texts that cells share; what shows how to speak them (phonetic runs) is left out."""

    def __init__(self, file: InputFile) -> None:
        self.found: list[str] = []
        self._caps = Caps(file)
        self._pieces: list[str] = []
        self._open = self._phonetic = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 (as all handlers')
        self._phonetic |= name == "rPh"
        self._open = name == "t" and not self._phonetic

    def end(self, name: str) -> None:
        self._open = False
        if name == "rPh":
            self._phonetic = False
        elif name == "si":
            self.found.append("".join(self._pieces))
            self._caps.longest(len(self.found[-1]))
            self._pieces.clear()

    def text(self, text: str) -> None:
        if self._open:
            self._pieces.append(text)


class _Styles:
    """Which of the cells' styles show a number as a date."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._formats: list[str] = []
        self._inside = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._inside = True
        elif name == "xf" and self._inside:
            self._formats.append(attributes.get("numFmtId", "0"))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._inside = False

    def text(self, text: str) -> None:
        pass

    def dates(self) -> frozenset[str]:
        """The numbers of those styles, as cells name them."""
        return frozenset(str(i) for i, number in enumerate(self._formats) if self._is_date(number))

    def _is_date(self, number: str) -> bool:
        if number in self._codes:
            return bool(_DATE_LETTERS.search(_QUOTED.sub("", self._codes[number].partition(";")[0])))
        return number.isdecimal() and int(number) in _DATE_FORMATS


class _Cells:
    """A sheet's rows. Cells without a reference stand right of the one before, rows without a number below."""

    def __init__(self, file: InputFile, book: _Book) -> None:
        self._file, self._book, self._caps = file, book, Caps(file)
        self._rows: deque[Row] = deque()
        self._number = 0
        self._cells: list[str | None] = []
        self._at = -1
        self._type = self._style = ""
        self._pieces: list[str] = []
        self._open = self._phonetic = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "row":
                self._start_row(attributes.get("r"))
            case "c":
                self._start_cell(attributes)
            case "rPh":
                self._phonetic = True
            case "v" | "t":
                self._open = not self._phonetic
            case _:
                pass

    def end(self, name: str) -> None:
        match name:
            case "row":
                self._caps.row(self._cells)
                self._rows.append((self._number, self._cells))
                self._cells = []
            case "c":
                self._end_cell("".join(self._pieces))
            case "rPh":
                self._phonetic = False
            case _:
                self._open = False

    def text(self, text: str) -> None:
        if self._open:
            self._pieces.append(text)

    def drain(self) -> Generator[Row]:
        """The rows, each forgotten once it is given."""
        while self._rows:
            yield self._rows.popleft()

    def _start_row(self, number: str | None) -> None:
        wanted = self._number + 1 if number is None else int(number) if number.isdecimal() and len(number) < 9 else 0
        if wanted <= self._number:
            raise broken(self._file, "its rows are not in order")
        self._number, self._at = wanted, -1

    def _start_cell(self, attributes: Mapping[str, str]) -> None:
        reference = attributes.get("r")
        at = self._at + 1
        if reference is not None:
            found = _REFERENCE.fullmatch(reference)
            at = -1 if found is None else _column(found[1])
        if at <= self._at:
            raise broken(self._file, f"its cells are not in order, in row {self._number}")
        self._at = at
        self._type, self._style = attributes.get("t", "n"), attributes.get("s", "0")
        self._pieces.clear()

    def _end_cell(self, text: str) -> None:
        if not text:
            return
        if self._at >= MAX_COLUMNS:
            self._caps.columns(self._at + 1)
        value = self._value(text)
        self._cells.extend([None] * (self._at - len(self._cells)))
        self._cells.append(value)

    def _value(self, text: str) -> str:
        match self._type:
            case "s":
                with suppress(ValueError, IndexError):
                    return self._book.texts[int(text)]
                raise broken(self._file, f"a cell of row {self._number} names a text that is not there")
            case "b":
                return "true" if text.strip() == "1" else "false"
            case "n" if self._style in self._book.dates:
                return _date(text, self._book.epoch)
            case _:
                return text


def _column(letters: str) -> int:
    """0 of A, 25 of Z, 26 of AA."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _date(text: str, epoch: datetime) -> str:
    """Days since ``epoch`` as ISO 8601, to the second; a time without a day, and what is none, as it is."""
    with suppress(ValueError, OverflowError):
        days = float(text)
        if days >= 1:
            moment = epoch + timedelta(seconds=round(days * 86_400))
            return moment.date().isoformat() if days.is_integer() else moment.isoformat(sep=" ")
    return text
