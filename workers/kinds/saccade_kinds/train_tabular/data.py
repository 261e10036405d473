"""From the file of a table to the three parts that are trained on, chosen by, and measured with."""

from __future__ import annotations

from dataclasses import dataclass

from saccade_core.errors import InputTooLarge, InvalidParams
from saccade_core.kind import Context, InputFile
from saccade_kinds.train_tabular.contract import TrainTabularParams
from saccade_models.tables.encode import TableInput
from saccade_models.tables.learn import encode_table, learn
from saccade_models.tables.prepare import Choice, Prepared, prepare
from saccade_models.tables.read import read_table
from saccade_models.training.data import Split, SplitRows, TrainingData, split_rows

#: Numbers that the network would take of all rows together, 4 bytes each and held about three times.
_MOST_NUMBERS = 500_000_000


@dataclass(frozen=True, slots=True)
class TabularData:
    """A table, read and encoded; ``rows`` index ``prepared.target.at``."""

    prepared: Prepared
    table_input: TableInput
    rows: SplitRows
    parts: TrainingData


def read(file: InputFile, params: TrainTabularParams, context: Context) -> TabularData:
    """Read the table, find out what its columns hold, deal the rows, learn the encoding from the training part alone.

    Raises InputError of all sorts, each of which names what is wrong.
    """
    context.progress(0, 3, "reading the table")
    table = read_table(file, params.sheet, context.check_cancelled)
    context.progress(1, 3, "looking at its columns")
    choice = Choice(params.target, params.task, params.drop, params.keep)
    prepared = prepare(table, choice, context.check_cancelled)
    target = prepared.target
    rows = split_rows(target.y, target.task, params.validation_split, params.test_split, params.seed)
    _check_parts(rows, params)
    context.progress(2, 3, "encoding")
    table_input = learn(prepared.features, target.at[rows.train], target, table.decimal)
    numbers = table_input.width * len(target.at)
    if numbers > _MOST_NUMBERS:
        raise InputTooLarge(
            f"Rows times inputs of a row ({table_input.width}) may be {_MOST_NUMBERS:,} at most; drop columns.",
            field=file.field,
            received=numbers,
        )
    x = encode_table(table_input, table.frame[target.at], table.decimal)
    train, valid, test = (Split(x[part], target.y[part]) for part in (rows.train, rows.valid, rows.test))
    return TabularData(prepared, table_input, rows, TrainingData(target.task, train, valid, test, target.labels))


def _check_parts(rows: SplitRows, params: TrainTabularParams) -> None:
    """Small tables leave nothing to measure with."""
    for name, share, part in (
        ("validation_split", params.validation_split, rows.valid),
        ("test_split", params.test_split, rows.test),
    ):
        if share and not len(part):
            raise InvalidParams(
                f"The {len(rows.train)} rows that can be used are too few for a part of {share:g}; with {name} 0 "
                "there is none, and where no test part is kept, figures are of rows that were trained on.",
                field=f"params.{name}",
                received=share,
            )
