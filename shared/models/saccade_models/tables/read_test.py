from __future__ import annotations

import datetime
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, InputTooLarge, InvalidParams, UnreadableInput
from saccade_models.tables.caps import MAX_CELL, MAX_COLUMNS
from saccade_models.tables.ragged import KEPT
from saccade_models.tables.read import read_table
from saccade_models.tables.testing import csv_table, input_of

#: What is kept of ragged rows is made there.
_OF_RAGGED = [tracemalloc.Filter(True, f"*tables/{name}.py") for name in ("ragged", "read", "facts")]


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("Churn_Modelling", 10_000, 14), ("Admission_Predict", 400, 9), ("mobile_price_train", 2000, 21)],
)
def test_real_tables(name: str, rows: int, columns: int) -> None:
    table = read_table(input_of(asset(f"datasets/tabular/{name}.csv")))
    assert (table.frame.height, table.frame.width) == (rows, columns)
    assert table.rows.tolist() == list(range(2, rows + 2))
    assert (table.facts.delimiter, table.facts.decimal, list(table.dirty)) == (",", ".", [])


def test_names_have_no_blanks_around_them() -> None:
    table = read_table(input_of(asset("datasets/tabular/Admission_Predict.csv")))
    assert {"Chance of Admit", "LOR", "Serial No."} <= set(table.frame.columns)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_encodings_and_ends_of_lines(tmp_path: Path, delimiter: str, encoding: str, end: str) -> None:
    lines = [["größe", "text"], ["1", '"a ""quoted"" word"'], [" 2 ", "ü"]]
    text = end.join(delimiter.join(line) for line in lines) + end
    table = csv_table(tmp_path, text, encoding)
    assert table.frame.to_dict(as_series=False) == {"größe": ["1", " 2 "], "text": ['a "quoted" word', "ü"]}
    assert (table.facts.encoding, table.facts.delimiter) == (encoding, delimiter)


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("a;b\n1,5;x\n2,25;y\n", ","),
        ("a;b\n1,234;x\n2,250;y\n", ","),
        ('a,b\n"1,234",0.5\n"2,250",1.5\n', "."),
        ("a;b\n1.234,5;x\n2,25;y\n", ","),
        ("a;b\n1;x\n2;y\n", "."),
        ("a;b\n3,50 EUR;x\n-€4,25;y\n", ","),
    ],
)
def test_the_decimal_sign(tmp_path: Path, text: str, decimal: str) -> None:
    assert csv_table(tmp_path, text).decimal == decimal


def test_rows_of_other_lengths_are_named(tmp_path: Path) -> None:
    table = csv_table(tmp_path, 'a,b,c\n1,2,3\n\n4,5\n6,7,8,9\n1,2,3,,\n"x\ny",,z\n')
    assert table.frame.rows() == [("1", "2", "3"), ("4", "5", None), ("1", "2", "3"), ("x\ny", None, "z")]
    assert table.rows.tolist() == [2, 4, 6, 7]
    assert [(d.row, d.issue, d.value) for d in table.dirty] == [(4, "short_row", "4,5"), (5, "long_row", "6,7,8,9")]
    assert [d.row for d in table.dirty_rows("long_row")] == [5]
    assert table.facts.blank_rows == 1


def test_ragged_rows_take_a_few_bytes_each(tmp_path: Path) -> None:
    count = 3 * KEPT
    (tmp_path / "t.csv").write_text("a,b\n1,2\n" + "7\n" * count + f"{'x' * 90},8,9\n" * count)
    tracemalloc.start()
    try:
        table = read_table(input_of(tmp_path / "t.csv"))
        held = sum(s.size for s in tracemalloc.take_snapshot().filter_traces(_OF_RAGGED).statistics("filename"))
    finally:
        tracemalloc.stop()
    assert held < 60 * 2 * count
    cells = list(table.dirty)
    assert (len(cells), cells[0].row, cells[0].value, cells[-1].row) == (2 * count, 3, "7", 2 * count + 2)
    long = [cell.value for cell in cells if cell.issue == "long_row"]
    assert (long[KEPT - 1], long[KEPT]) == ("x" * 90 + ",8,9", None)


@pytest.mark.parametrize(
    ("data", "encoding", "cell"),
    [(b"5 \x80", "cp1252", "5 €"), (b"caf\xe9 \x93", "cp1252", "caf\xe9 \u201c"), (b"\x80\x81", "latin-1", "\x80\x81")],
)
def test_text_of_windows(tmp_path: Path, data: bytes, encoding: str, cell: str) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + data + b",x\n")
    table = read_table(input_of(tmp_path / "t.csv"))
    assert (table.facts.encoding, table.frame["a"][0]) == (encoding, cell)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_comma_in_words_and_numbers_is_no_delimiter(tmp_path: Path, delimiter: str) -> None:
    table = csv_table(tmp_path, f"Preis, EUR{delimiter}y\n1,5{delimiter}0\n2,5{delimiter}1\n")
    assert (table.facts.delimiter, table.decimal, table.frame.columns) == (delimiter, ",", ["Preis, EUR", "y"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"\n\n \n", "no rows"),
        (b"a,b\n", "no rows below"),
        (b"a,b,a \n1,2,3\n", "two columns are called 'a'"),
        (b"1,2.5\n3,4\n", "columns' names"),
        (b'a,b\n1,"never closed\n2,3\n', "row 2 is not well-formed"),
        (b"a,b\n1,\x002\n", "no CSV"),
        (b"a,b\n" + b"1,2\n" * 5000 + b"1,\x002\n", "zero bytes"),
    ],
)
def test_broken_csv_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(UnreadableInput, match=reason) as caught:
        read_table(input_of(tmp_path / "t.csv"))
    assert caught.value.field == "inputs.table"


@pytest.mark.parametrize(
    "text",
    [
        ",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)) + "\n" + "1," * MAX_COLUMNS + "1\n",
        "," * 2_000_000 + "x\n1\n",
        "a,b\n" + "x" * (17 << 20) + ",1\n",
    ],
)
def test_too_many_columns_and_endless_lines(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputTooLarge):
        csv_table(tmp_path, text)


def test_a_long_cell_is_refused(tmp_path: Path) -> None:
    assert csv_table(tmp_path, f"a,b\n{'x' * MAX_CELL},1\n").frame["a"].str.len_chars()[0] == MAX_CELL
    with pytest.raises(UnreadableInput, match="row 2"):
        csv_table(tmp_path, f"a,b\n{'x' * (MAX_CELL + 1)},1\n")


def test_other_files_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\x89PNG\r\n\x1a\n and more")
    with pytest.raises(UnreadableInput, match="image/png"):
        read_table(input_of(tmp_path / "t.csv"))


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    def step() -> None:
        raise Cancelled("The job was cancelled.")

    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Cancelled):
        read_table(input_of(tmp_path / "t.csv"), step=step)


def workbook(path: Path) -> Path:
    """Two sheets; the second begins in C4, and holds of each type a cell."""
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("empty")
        sheet = book.add_worksheet("Data")
        day = book.add_format({"num_format": "dd/mm/yy"})
        sheet.write_row(3, 2, ["name ", "value", "day", "ok"])
        sheet.write_row(4, 2, ["  Zoë", 0.123456789012345])
        sheet.write_datetime(4, 4, datetime.datetime(2024, 2, 29), day)  # noqa: DTZ001 (workbooks know no zones)
        sheet.write_boolean(4, 5, True)
        sheet.write_row(6, 2, ["x", 1e-12])
        sheet.write_formula(6, 4, "=1/0", None, "#DIV/0!")  # pyright: ignore[reportArgumentType] (takes words too)
        sheet.write_rich_string(7, 2, "two ", book.add_format({"bold": True}), "parts")
    return path


def test_workbooks_keep_every_cell_and_their_row_numbers(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx")
    table = read_table(input_of(path), " data")
    assert table.rows.tolist() == [5, 7, 8]
    data = table.frame.to_dict(as_series=False)
    assert data["name"] == ["  Zoë", "x", "two parts"]
    assert [float(v) if v else None for v in data["value"]] == [0.123456789012345, 1e-12, None]
    assert data["day"] == ["2024-02-29", "#DIV/0!", None]
    assert data["ok"] == ["true", None, None]
    assert table.facts.sheet == "Data"
    with pytest.raises(UnreadableInput, match="no rows"):
        read_table(input_of(path))
    with pytest.raises(InvalidParams, match="'empty', 'Data'") as caught:
        read_table(input_of(path), "Sheet9")
    assert caught.value.field == "params.sheet"


def changed(path: Path, entry: str, content: bytes) -> Path:
    """The workbook with another entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if name == entry else old.read(name))
    path.write_bytes(buffer.getvalue())
    return path


def sheet_xml(cells: str) -> bytes:
    return f"<worksheet><sheetData>{cells}</sheetData></worksheet>".encode()


FIRST, SECOND = "xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<worksheet><sheetData><row r='1'><c r='A1'", "damaged"),
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><worksheet>&a;</worksheet>", "document type"),
        (sheet_xml("<row r='2'><c t='s'><v>99999</v></c></row>"), "names a text that is not there"),
        (sheet_xml("<row r='2'/><row r='1'/>"), "not in order"),
        (sheet_xml("<row r='1'><c r='B1'><v>1</v></c><c r='A1'><v>1</v></c></row>"), "not in order"),
        (b"<a>" * 200, "too deep"),
    ],
)
def test_broken_workbooks_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = changed(workbook(tmp_path / "t.xlsx"), FIRST, content)
    with pytest.raises(UnreadableInput, match=reason):
        read_table(input_of(path))


def test_two_far_corners_take_no_memory(tmp_path: Path) -> None:
    cells = "<row r='1'><c t='str'><v>a</v></c></row><row r='99999999'><c r='A99'><v>7</v></c></row>"
    table = read_table(input_of(changed(workbook(tmp_path / "t.xlsx"), FIRST, sheet_xml(cells))))
    assert (table.frame["a"].to_list(), table.rows.tolist()) == (["7"], [99_999_999])
    wide = sheet_xml("<row r='1'><c r='A1'><v>1</v></c><c r='XFD1'><v>1</v></c></row>")
    with pytest.raises(InputTooLarge, match="columns"):
        read_table(input_of(changed(tmp_path / "t.xlsx", FIRST, wide)))


def test_a_zip_bomb_called_xlsx_is_refused(tmp_path: Path) -> None:
    path = changed(workbook(tmp_path / "t.xlsx"), SECOND, b" " * (64 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputTooLarge, match="times its size"):
        read_table(input_of(path))


def parquet(path: Path) -> Path:
    frame = pl.DataFrame({"n": range(1000), "s": ["x"] * 1000, "f": [0.1] * 1000, "l": [[1]] * 1000})
    frame = frame.with_columns(d=pl.lit(datetime.date(2024, 2, 29)), b=pl.lit(value=True))
    frame.write_parquet(path, compression="uncompressed")
    return path


def test_parquet_becomes_text(tmp_path: Path) -> None:
    table = read_table(input_of(parquet(tmp_path / "t.parquet")))
    assert table.frame.row(999, named=True) == {"n": "999", "s": "x", "f": "0.1", "d": "2024-02-29", "b": "true"}
    assert (table.nested, table.rows[0], table.facts.columns) == (["l"], 1, 6)


def lying(path: Path, rows: int, *, everywhere: bool) -> Path:
    """A Parquet file of 1,000 rows whose footer says that there are ``rows`` (Thrift's zigzag varints)."""
    data = path.read_bytes()
    size = struct.unpack("<I", data[-8:-4])[0]
    footer, real, number = data[-8 - size : -8], bytes([0xD0, 0x0F]), bytearray()
    value = rows << 1
    while value > 0x7F:
        number.append(value & 0x7F | 0x80)
        value >>= 7
    number.append(value)
    footer = footer.replace(real, bytes(number), -1 if everywhere else 1)
    path.write_bytes(data[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    return path


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_parquet_header_that_lies(tmp_path: Path, everywhere: bool) -> None:
    path = lying(parquet(tmp_path / "t.parquet"), 100_000_000, everywhere=everywhere)
    with pytest.raises(InputTooLarge, match="5,000,000 rows") as caught:
        read_table(input_of(path))
    assert caught.value.received == 100_000_000
    path = lying(parquet(tmp_path / "t.parquet"), 4_000_000, everywhere=everywhere)
    with pytest.raises(UnreadableInput, match=r"Parquet|has 4000000 rows, and has 1000"):
        read_table(input_of(path))


@pytest.mark.parametrize("cut", [slice(0, -100), slice(0, 50), slice(100, None)])
def test_broken_parquet_is_refused(tmp_path: Path, cut: slice) -> None:
    path = parquet(tmp_path / "t.parquet")
    path.write_bytes(b"PAR1" + path.read_bytes()[cut])
    with pytest.raises(UnreadableInput, match="Parquet"):
        read_table(input_of(path))
