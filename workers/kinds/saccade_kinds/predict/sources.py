"""What is predicted, a chunk at a time: rows of a table, or pictures, as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InputError, InvalidParams, InvalidRequest
from saccade_core.kind import Context, InputFile
from saccade_kinds.predict.contract import PredictParams
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.datasets.prepare import prepare
from saccade_models.tables.encode import TableInput
from saccade_models.tables.read import read_table

#: Numbers that one request may hold, either way: a gRPC message is 64 MB at most, and rows are Python's numbers first.
_CHUNK_NUMBERS = 1_000_000
#: Labels with scores of one chunk's answers.
_CHUNK_SCORES = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which row of the table, or which picture."""

    row: int | None = None
    image: str | None = None
    index: int | None = None

    def __str__(self) -> str:
        return str(self.row) if self.image is None else self.image


@dataclass(slots=True)
class Chunk:
    """``inputs`` (N, ...) float32 of the N ``places``; ``failed`` are places without inputs, and why."""

    inputs: NDArray[np.float32]
    places: list[Place]
    failed: list[tuple[Place, str]] = field(default_factory=list[tuple[Place, str]])


@dataclass(frozen=True, slots=True)
class Source:
    """``total`` rows or pictures, in chunks."""

    total: int
    chunks: Iterator[Chunk]


def table_source(file: InputFile, preprocess: TableInput, params: PredictParams, context: Context) -> Source:
    """The rows of a table. Raises what ``read_table`` does, and InvalidParams where a column is not there."""
    table = read_table(file, params.sheet, context.check_cancelled)
    missing = [column.name for column in preprocess.columns if column.name not in table.frame.columns]
    if missing:
        raise InvalidParams(
            f"The table has no column {missing[0]!r}, which the model needs ({len(missing)} are not there).",
            field=file.field,
            received=", ".join(table.frame.columns)[:300],
        )
    encoder = preprocess.model_copy(update={"decimal": table.decimal})
    left_out = [
        (Place(row=cell.row), "It has more cells than the header.") for cell in table.dirty if cell.issue == "long_row"
    ]

    def chunks() -> Iterator[Chunk]:
        size = _at_once(params, encoder.width, len(encoder.labels))
        yield Chunk(np.empty((0, encoder.width), np.float32), [], left_out)
        frame = table.frame.select([column.name for column in encoder.columns])
        for start in range(0, frame.height, size):
            rows = frame.slice(start, size).to_dicts()
            numbers = table.rows[start : start + size].tolist()
            yield _encoded(encoder, rows, numbers)

    return Source(table.frame.height + len(left_out), chunks())


def picture_source(
    files: Sequence[InputFile], preprocess: PictureInput, params: PredictParams, context: Context
) -> Source:
    """Pictures; those that cannot be read are failed ones."""

    def chunks() -> Iterator[Chunk]:
        size = _at_once(params, int(np.prod(preprocess.shape)), len(preprocess.labels))
        for start in range(0, len(files), size):
            found: list[NDArray[np.float32]] = []
            chunk = Chunk(np.empty((0, *preprocess.shape), np.float32), [])
            for index, file in enumerate(files[start : start + size], start):
                context.check_cancelled()
                place = Place(image=file.name, index=index)
                try:
                    found.append(prepare(file, preprocess))
                    chunk.places.append(place)
                except InputError as error:
                    chunk.failed.append((place, error.message))
            if found:
                chunk.inputs = np.stack(found)
            yield chunk

    return Source(len(files), chunks())


def _encoded(encoder: TableInput, rows: Sequence[Mapping[str, object]], numbers: Sequence[int]) -> Chunk:
    try:
        places = [Place(row=number) for number in numbers]
        return Chunk(np.array(encoder.encode_rows(rows), np.float32), places)
    except InvalidRequest:
        return _encoded_one_by_one(encoder, rows, numbers)


def _encoded_one_by_one(encoder: TableInput, rows: Sequence[Mapping[str, object]], numbers: Sequence[int]) -> Chunk:
    good: list[list[float]] = []
    chunk = Chunk(np.empty((0, encoder.width), np.float32), [])
    for number, row in zip(numbers, rows, strict=True):
        try:
            good += encoder.encode_rows([row])
            chunk.places.append(Place(row=number))
        except InvalidRequest as error:
            chunk.failed.append((Place(row=number), f"{error.message.partition(': ')[2]} It is {error.received!r}."))
    if good:
        chunk.inputs = np.array(good, np.float32)
    return chunk


def _at_once(params: PredictParams, numbers: int, labels: int) -> int:
    """How many rows, or pictures, of so many numbers and labels go into one chunk."""
    fitting = _CHUNK_NUMBERS // max(1, numbers, labels)
    answered = _CHUNK_SCORES // max(1, min(params.top_k, labels))
    return max(1, min(params.batch_size, fitting, answered))
