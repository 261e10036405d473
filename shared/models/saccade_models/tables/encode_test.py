from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade_core.assets import asset
from saccade_core.errors import InvalidRequest
from saccade_models.tables.columns import look_at
from saccade_models.tables.encode import CategoryColumn, NumberColumn, TableInput
from saccade_models.tables.learn import encode_table, learn, unreadable
from saccade_models.tables.prepare import Choice, prepare
from saccade_models.tables.read import Table, read_table
from saccade_models.tables.target import read_target
from saccade_models.tables.testing import csv_table, input_of
from saccade_models.tables.values import BLANKS

TABLE = TableInput(
    columns=[
        NumberColumn(name="age", median=30, mean=40, std=10, flag=True),
        NumberColumn(name="member", values="boolean", median=1, mean=0.5, std=0.5),
        NumberColumn(name="since", values="date", median=100, mean=0, std=1),
        CategoryColumn(name="city", categories=["Oslo", "Rome"], most_frequent="Rome", flag=True),
    ],
    target="bought",
    task="binary",
    labels=["no", "yes"],
)
ROW: dict[str, Any] = {"age": 50, "member": True, "since": "1970-01-03", "city": "oslo "}


def test_a_row_becomes_numbers() -> None:
    assert TABLE.width == 2 + 1 + 1 + 4
    assert TABLE.encode_rows([ROW]) == [[1, 0, 1, 2, 1, 0, 0, 0]]
    missing = dict.fromkeys(ROW)
    assert TABLE.encode_rows([missing]) == [[-1, 1, 1, 100, 0, 1, 0, 1]]
    other = {**ROW, " city": "Bern", "age": "50.0", "member": "no", "bought": "yes", "more": [1]}
    other.pop("city")
    assert TABLE.encode_rows([other]) == [[1, 0, -1, 2, 0, 0, 1, 0]]
    assert TABLE.encode_rows([{**ROW, "age": 1e29}])[0][0] == 1e6
    assert TABLE.encode_rows([{**ROW, "age": "45,5"}], decimal=",")[0][0] == 0.55


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("age", "old", "'age' must be a number"),
        ("age", True, "'age' must be a number"),
        ("age", [3], "'age' must be a number"),
        ("age", float("nan"), "'age' must be a number"),
        ("age", 10**400, "'age' must be a number"),
        ("member", "maybe", "'member' must be true or false"),
        ("member", 2, "'member' must be true or false"),
        ("since", "yesterday", "'since' must be a date"),
        ("since", 7, "'since' must be a date"),
        ("city", {"a": 1}, "'city' must be one of 'Oslo', 'Rome'"),
    ],
)
def test_wrong_values_are_named(column: str, value: object, rule: str) -> None:
    with pytest.raises(InvalidRequest, match=rule) as caught:
        TABLE.encode_rows([ROW, {**ROW, column: value}])
    assert caught.value.field == f"rows[1].{column}"
    assert caught.value.message.startswith("rows[1]: ")


def test_columns_that_are_not_there_and_unknown_words() -> None:
    without = {key: value for key, value in ROW.items() if key != "since"}
    with pytest.raises(InvalidRequest, match="'since' is not there") as caught:
        TABLE.encode_rows([without], "inputs")
    assert caught.value.field == "inputs[0].since"
    with pytest.raises(InvalidRequest, match="'city' must be one of") as caught:
        TABLE.encode_rows([{**ROW, "city": "Bern"}], unknown="error")
    assert caught.value.received == "Bern"


def learnt_of(folder: Path, text: str, train: int) -> tuple[TableInput, Table]:
    """What the first ``train`` rows teach; the target is ``t``."""
    table = csv_table(folder, text)
    ready = prepare(table, Choice("t"), lambda: None)
    return learn(ready.features, np.arange(train), ready.target, table.decimal), table


def test_what_is_constant_in_training_stays_nothing(tmp_path: Path) -> None:
    rows = "".join(f"7,{i % 4 * 1e-15},{i % 2}\n" for i in range(40))
    learnt, table = learnt_of(tmp_path, f"x,small,t\n{rows}40000,1,0\n", 40)
    column, small = learnt.columns
    assert isinstance(column, NumberColumn)
    assert column.std == 0
    assert isinstance(small, NumberColumn)
    assert small.std > 0
    assert encode_table(learnt, table.frame, ".")[[0, 40], 0].tolist() == [0, 0]
    assert [learnt.encode_rows([{"x": x, "small": 0}])[0][0] for x in (7, 40_000, None)] == [0, 0, 0]


def test_nothing_goes_far_beyond_what_was_trained_on(tmp_path: Path) -> None:
    rows = "".join(f"{i % 9},{900 if i == 7 else i % 9},{i % 2}\n" for i in range(400))
    learnt, table = learnt_of(tmp_path, f"x,far,t\n{rows}1e20,-1e20,0\n", 400)
    encoded = encode_table(learnt, table.frame, ".")
    assert encoded[400, 0] == 10
    assert encoded[400, 1] == -encoded[7, 1] < -19  # as far as the training part itself goes
    assert learnt.encode_rows([{"x": 1e20, "far": -1e20}]) == [pytest.approx(encoded[400].tolist())]
    assert TableInput.model_validate_json(learnt.model_dump_json()) == learnt


def test_units_at_all_numbers_are_read(tmp_path: Path) -> None:
    rows = "".join(f"{i + 0.33}%;-${i},50;{i * 1.25:.2f} EUR;{i % 2}\n".replace(".", ",") for i in range(40))
    learnt, table = learnt_of(tmp_path, f"share;price;cost;t\n{rows}", 40)
    assert [(c.name, c.unit) for c in learnt.columns if isinstance(c, NumberColumn)] == [
        ("share", "%"),
        ("price", "$"),
        ("cost", "EUR"),
    ]
    encoded = encode_table(learnt, table.frame, ",")
    assert (np.argmin(encoded[:, 0]), np.argmax(encoded[:, 1])) == (0, 0)
    assert learnt.encode_rows(table.frame.drop("t").to_dicts()) == [pytest.approx(row.tolist()) for row in encoded]
    same = learnt.encode_rows([{"share": 1.33, "price": "$-1,5", "cost": "1,25"}])
    assert same == [pytest.approx(encoded[1].tolist())]
    with pytest.raises(InvalidRequest, match="'share' must be a number"):
        learnt.encode_rows([{"share": "1,33 €", "price": 0, "cost": 0}])


def test_it_is_saved_and_read() -> None:
    assert TableInput.model_validate_json(TABLE.model_dump_json()) == TABLE


def test_it_is_learnt_from_the_training_part_alone(tmp_path: Path) -> None:
    rows = ["1,a,0", "2,a,1", "3,b,0", ",b,1", "5,c,0", "900,d,1", "901,d,0"]
    table = csv_table(tmp_path, "x,w,t\n" + "\n".join(rows) + "\n")
    looks = [look_at(table.frame[name], ".") for name in ("x", "w")]
    target = read_target(look_at(table.frame["t"], "."), "auto")
    learnt = learn(looks, np.arange(5), target, ".")
    number, words = learnt.columns
    assert isinstance(number, NumberColumn)
    assert (number.median, number.mean, number.flag) == (2.5, 2.7, True)
    assert number.std == pytest.approx(np.std([1, 2, 3, 2.5, 5]))
    assert isinstance(words, CategoryColumn)
    assert (words.categories, words.most_frequent, words.flag) == (["a", "b"], "a", False)
    assert encode_table(learnt, table.frame, ".")[5:, 2:].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_both_ways_agree_on_a_real_table() -> None:
    table = read_table(input_of(asset("datasets/tabular/Churn_Modelling.csv")))
    ready = prepare(table, Choice("Exited", keep=["Surname"]), lambda: None)
    learnt = learn(ready.features, np.arange(0, 10_000, 2), ready.target, ".")
    fast = encode_table(learnt, table.frame, ".")
    assert fast.shape == (10_000, learnt.width)
    slow = np.array(learnt.encode_rows(table.frame.head(500).to_dicts()), dtype=np.float32)
    np.testing.assert_array_equal(fast[:500], slow)
    assert abs(fast[::2, 51].mean()) < 1e-5
    assert fast[::2, 51].std() == pytest.approx(1, abs=1e-4)


CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "NA",
            " ? ",
            "yes",
            "No",
            "Rome",
            "rome ",
            "2024-02-29",
            "1,234",
            "1.5",
            "1e5",
            "-0",
            "x",
            "\x1f",
            "\u2003",
        ]
    ),
    st.floats(-1e6, 1e6).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=20))
def test_both_ways_agree_on_anything(rows: list[tuple[str, ...]]) -> None:
    import polars as pl

    names = [column.name for column in TABLE.columns]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    fast = encode_table(TABLE, frame, ".")
    wrong = set(unreadable(TABLE, frame, "."))
    for number, row in enumerate(frame.to_dicts()):
        readable = {name: None if (number, name) in wrong else value for name, value in row.items()}
        assert TABLE.encode_rows([readable]) == [pytest.approx(fast[number].tolist(), rel=1e-6)]
        for name in names:
            if (number, name) in wrong:
                with pytest.raises(InvalidRequest, match=name):
                    TABLE.encode_rows([{**readable, name: row[name]}])


def test_blanks_are_those_that_python_strips() -> None:
    assert {character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()} == set(BLANKS)
