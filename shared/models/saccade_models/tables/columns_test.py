from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from saccade_core.assets import asset
from saccade_core.errors import InvalidParams
from saccade_models.tables.columns import look_at
from saccade_models.tables.learn import learn
from saccade_models.tables.prepare import Choice, Prepared, prepare
from saccade_models.tables.read import read_table
from saccade_models.tables.report import LISTED, dirty_report, table_report, write_dirty_cells
from saccade_models.tables.testing import csv_table, input_of
from saccade_models.tables.values import parse_boolean, parse_day, parse_number


def nothing() -> None:
    """No step between columns."""


def prepared(folder: Path, text: str, choice: Choice) -> Prepared:
    return prepare(csv_table(folder, text), choice, nothing)


def types(folder: Path, cells: list[str], name: str = "a") -> str:
    table = csv_table(folder, f"{name},other\n" + "".join(f'"{cell}",x\n' for cell in cells))
    return look_at(table.frame[name], table.decimal).type


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("12", ".", 12),
        (" -1.5e3 ", ".", -1500),
        (".5", ".", 0.5),
        ("1,234,567.5", ".", 1_234_567.5),
        ("1 234", ".", 1234),
        ("1,5", ".", None),
        ("1,5", ",", 1.5),
        ("1.234,5", ",", 1234.5),
        ("1.234", ",", 1234),
        ("1.5", ",", 1.5),
        ("1.5,5", ",", None),
        ("1_000", ".", None),
        ("0x10", ".", None),
        ("inf", ".", None),
        ("1e999", ".", None),
        ("1e30", ".", 1e30),
        ("1e31", ".", None),
        ("٣", ".", None),
        ("", ".", None),
        ("12 %", ".", None),
    ],
)
def test_numbers(text: str, decimal: str, number: float | None) -> None:
    assert parse_number(text, "," if decimal == "," else ".") == number


def test_truth_values_and_days() -> None:
    assert [parse_boolean(word) for word in ("Yes", " no ", "T", "0", "2", "")] == [1, 0, 1, 0, None, None]
    assert parse_day("1970-01-02") == 1
    assert parse_day("1970-01-01T12:00:00") == 0.5
    assert parse_day("1970-01-01 00:00:00+00:00") == 0
    assert [parse_day(text) for text in ("2024-02-30", "01/02/2024", "2024", "20240101")] == [None] * 4


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2", "2"], "integer"),
        (["1", "2.5", "2"], "number"),
        (["1", "0", "1.0"], "boolean"),
        (["yes", "No", "yes"], "boolean"),
        (["2024-01-01", "2024-01-02", "2024-01-02"], "date"),
        (["red", "blue", "red"], "category"),
        (["red", "Red ", "RED"], "constant"),
        (["7", "7.0", "7"], "constant"),
        (["", "NA", "?"], "empty"),
        ([str(i) for i in range(1, 31)], "identifier"),
        ([str(i) for i in range(1950, 1980)], "integer"),
        ([f"user {i}" for i in range(30)], "identifier"),
        ([f"word {i // 2}" for i in range(400)], "text"),
        ([f"word {i % 40}" for i in range(200)], "category"),
        (["1", "2", "3", "4", "oops", ""], "integer"),
        (["1", "2", "x", "oops", ""], "category"),
        ([f"{i}.33%" for i in range(30)], "number"),
        ([f"${i}" for i in range(1, 31)], "integer"),
        ([f"{i} %" if i % 2 else f"{i} EUR" for i in range(30)], "identifier"),
    ],
)
def test_types_of_columns(tmp_path: Path, cells: list[str], expected: str) -> None:
    assert types(tmp_path, cells) == expected


def test_numbers_called_an_id_are_one(tmp_path: Path) -> None:
    cells = [str(i * i + 500) for i in range(30)]
    for name in ("CustomerId", "id", "Serial No.", "order_id"):
        assert types(tmp_path, cells, name) == "identifier"
    for name in ("Paid", "width", "Price"):
        assert types(tmp_path, cells, name) == "integer"


def test_churn_is_read_as_people_would(tmp_path: Path) -> None:
    table = read_table(input_of(asset("datasets/tabular/Churn_Modelling.csv")))
    ready = prepare(table, Choice("Exited "), nothing)
    assert {look.name for look, _ in ready.dropped} == {"RowNumber", "CustomerId", "Surname"}
    assert [(ready.target.task, ready.target.labels, int(ready.target.y.sum()))] == [("binary", ["0", "1"], 2037)]
    assert ready.found == []
    kept = prepare(table, Choice("Exited", keep=["Surname", "CustomerId"], drop=["Geography"]), nothing)
    assert {"Surname", "CustomerId"} < {look.name for look in kept.features}
    assert ("Geography", "asked for") in [(look.name, reason) for look, reason in kept.dropped]
    report = table_report(kept, learn(kept.features, np.arange(8000), kept.target, "."))
    assert [column.name for column in report.columns] == table.frame.columns
    roles = {column.name: (column.role, column.inputs) for column in report.columns}
    assert roles["Exited"] == ("target", 0)
    assert roles["Surname"] == ("feature", 51)


def test_the_task_follows_from_the_target(tmp_path: Path) -> None:
    mobile = read_table(input_of(asset("datasets/tabular/mobile_price_train.csv")))
    target = prepare(mobile, Choice("price_range"), nothing).target
    assert (target.task, target.labels, target.y.dtype) == ("multiclass", ["0", "1", "2", "3"], np.int64)
    assert prepare(mobile, Choice("price_range", "regression"), nothing).target.task == "regression"
    admission = read_table(input_of(asset("datasets/tabular/Admission_Predict.csv")))
    target = prepare(admission, Choice("chance of admit"), nothing).target
    assert (target.task, target.name, target.y.dtype) == ("regression", "Chance of Admit", np.float32)


DIRTY = "age,city,bought\n" + "".join(
    f"{20 + i % 30},{('Rome', 'Oslo', 'Bern')[i % 3]},{('no', 'yes')[i % 2]}\n" for i in range(60)
)


def with_cell(text: str, row: int, column: int, value: str) -> str:
    """``text`` with another cell; rows counted from 1, the header."""
    lines = [line.split(",") for line in text.splitlines()]
    lines[row - 1][column] = value
    return "\n".join(map(",".join, lines)) + "\n"


def test_dirty_cells_are_named_with_their_rows(tmp_path: Path) -> None:
    text = DIRTY
    cells = [
        (5, 0, "old"),
        (9, 0, ""),
        (10, 1, "ROME "),
        (12, 1, "Roma"),
        (20, 2, "Yes "),
        (30, 2, "maybe"),
        (40, 2, ""),
    ]
    for row, column, value in cells:
        text = with_cell(text, row, column, value)
    ready = prepared(tmp_path, text, Choice("bought"))
    report = dirty_report(ready)
    assert [(d.row, d.column, d.value, d.issue) for d in report.cells] == [
        (40, "bought", None, "missing_target"),
        (12, "city", "Roma", "wrong_label"),
        (30, "bought", "maybe", "wrong_label"),
        (5, "age", "old", "not_a_number"),
        (10, "city", "ROME ", "other_spelling"),
        (20, "bought", "Yes ", "other_spelling"),
        (9, "age", None, "missing"),
    ]
    assert report.cells[4].action == "read as 'Rome'"
    assert (report.total, report.rows_left_out) == (7, 2)
    assert (ready.target.task, ready.target.labels) == ("binary", ["no", "yes"])
    assert len(ready.target.at) == 58
    assert {28, 38}.isdisjoint(ready.target.at.tolist())


def test_the_first_dirty_cells_are_listed_and_all_are_counted_and_written(tmp_path: Path) -> None:
    text = "a,b,t\n" + "".join(f"{i % 7}.5,{'' if i % 2 else '=1+1'},{i % 2}\n" for i in range(400))
    ready = prepared(tmp_path, text + "1,2,3,4,5\n", Choice("t", drop=["b"]))
    assert dirty_report(ready).total == 1
    text = "a,b,t\n" + "".join(
        f"{i % 7}.5,{('', '1.5', '2', '3', '4', '5', '=x')[i % 7]},{i % 2}\n" for i in range(700)
    )
    ready = prepared(tmp_path, text, Choice("t"))
    report = dirty_report(ready)
    assert (report.total, len(report.cells)) == (200, LISTED)
    assert {(c.issue, c.count) for c in report.counts} == {("not_a_number", 100), ("missing", 100)}
    assert {d.issue for d in report.cells} == {"not_a_number"}
    assert write_dirty_cells(tmp_path / "dirty.csv", ready) == 200
    lines = (tmp_path / "dirty.csv").read_text("utf-8").splitlines()
    assert lines[1] == "8,b,'=x,not_a_number,taken as missing"


@pytest.mark.parametrize(
    ("choice", "field", "words"),
    [
        (Choice("bougth"), "params.target", "'age', 'city', 'bought'"),
        (Choice("bought", drop=["town"]), "params.drop[0]", "'age', 'city', 'bought'"),
        (Choice("bought", keep=["age", "town"]), "params.keep[1]", "no column 'town'"),
        (Choice("bought", drop=["bought"]), "params.drop", "to be dropped, and to be used"),
        (Choice("bought", drop=["age", "city"]), "params.drop", "No column is left"),
        (Choice("city", "regression"), "params.target", "holds words"),
        (Choice("city", "binary"), "params.target", "there are 3: 'Bern', 'Oslo', 'Rome'"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path: Path, choice: Choice, field: str, words: str) -> None:
    with pytest.raises(InvalidParams, match=re.escape(words)) as caught:
        prepared(tmp_path, DIRTY, choice)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["7"] * 30, "two different values"),
        ([""] * 30, "it has no values"),
        ([f"name {i}" for i in range(30)], "value of its own"),
    ],
)
def test_targets_that_cannot_be_learnt(tmp_path: Path, values: list[str], words: str) -> None:
    text = "a,t\n" + "".join(f"{i % 5},{value}\n" for i, value in enumerate(values))
    with pytest.raises(InvalidParams, match=words):
        prepared(tmp_path, text, Choice("t"))


def test_targets_out_of_range_are_named(tmp_path: Path) -> None:
    cells = ["1e50", *(f"{i}.5e29" for i in range(1, 10)), "1e31", "many"]
    cells += [str(i * 1.5) for i in range(60)]
    ready = prepared(tmp_path, "a,t\n" + "".join(f"{i % 5},{c}\n" for i, c in enumerate(cells)), Choice("t"))
    report = dirty_report(ready)
    told = [(d.row, d.value, d.issue, d.action) for d in report.cells]
    assert told == [
        (13, "many", "not_a_number", "row left out"),
        (2, "1e50", "out_of_range", "row left out"),
        (12, "1e31", "out_of_range", "row left out"),
    ]
    assert (report.rows_left_out, len(ready.target.at)) == (3, len(cells) - 3)
    assert np.isfinite(ready.target.y).all()
    assert np.isfinite(ready.target.y.astype(np.float64).std())


@pytest.mark.parametrize(
    "cells",
    [
        [f"{i % 28 + 1:02}/{i % 12 + 1:02}/{1990 + i}" for i in range(30)],
        [f"{i} Jan 2024" for i in range(1, 31)],
        [f"{i}.5 kg" for i in range(30)],
    ],
)
def test_why_a_column_is_dropped_is_honest(tmp_path: Path, cells: list[str]) -> None:
    text = "a,b,name,t\n" + "".join(f"{i % 5},{cell},user {i},{i % 2}\n" for i, cell in enumerate(cells))
    reasons = {look.name: reason for look, reason in prepared(tmp_path, text, Choice("t")).dropped}
    assert "form that is not read" in reasons["b"]
    assert reasons["name"] == "it names each row"


def test_labels_keep_their_words(tmp_path: Path) -> None:
    words = ["yes", "No", "yes", "no", "no", "Yes ", "", "yes"] * 3
    ready = prepared(tmp_path, "a,t\n" + "".join(f"{i % 5},{word}\n" for i, word in enumerate(words)), Choice("t"))
    assert (ready.target.labels, len(ready.target.at)) == (["no", "yes"], 21)
    report = dirty_report(ready)
    assert {(c.issue, c.count) for c in report.counts} == {("other_spelling", 6), ("missing_target", 3)}
    numbers = prepared(tmp_path, "a,t\n" + "1,1\n2,1.0\n3,0\n4,0\n5,1\n", Choice("t"))
    assert (numbers.target.labels, numbers.found) == (["0", "1"], [])


@pytest.mark.parametrize("name", ["count", "len", "word", "key", "way", "literal"])
def test_columns_may_have_any_name(tmp_path: Path, name: str) -> None:
    text = f"{name},t\n" + "".join(f"{'ab'[i % 2]},{'no' if i % 3 else 'yes'}\n" for i in range(30))
    ready = prepared(tmp_path, text, Choice("t"))
    assert learn(ready.features, np.arange(30), ready.target, ".").width == 3
    turned = prepared(tmp_path, text, Choice(name))
    assert learn(turned.features, np.arange(30), turned.target, ".").labels == ["a", "b"]
