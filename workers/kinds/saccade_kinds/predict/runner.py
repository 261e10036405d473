"""Runs ``predict``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

from saccade_core.errors import InvalidParams, UnreadableInput
from saccade_core.kind import Context, Inputs
from saccade_core.trained import TrainedRef
from saccade_kinds.predict.asking import asker
from saccade_kinds.predict.contract import (
    LISTED,
    LISTED_SCORES,
    PredictFailure,
    PredictParams,
    PredictPrediction,
    PredictResult,
)
from saccade_kinds.predict.sources import Chunk, Place, Source, picture_source, table_source
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.formats.cells import cell
from saccade_models.serving.answers import Answer, decode
from saccade_models.serving.preprocess import load_preprocess
from saccade_models.tables.encode import TableInput


def run(inputs: Inputs, params: PredictParams, context: Context) -> PredictResult:
    """Predict chunk by chunk."""
    context.progress(0, 1, "preparing")
    model = context.model(params.model)
    preprocess = load_preprocess(model.files["preprocess"])
    source = _source(inputs, preprocess, params, context)
    ask = asker(model, context)
    result = PredictResult(
        model=TrainedRef(name=model.name, version=int(model.version)), count=0, failed=0, predictions=[], failures=[]
    )
    with context.artifact("predictions.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(
            ["row" if isinstance(preprocess, TableInput) else "image", "prediction", "score", "top", "problem"]
        )
        for chunk in source.chunks:
            if chunk.places:
                answers = decode(preprocess, ask(chunk.inputs).tolist(), params.top_k)
                _add(result, chunk.places, answers)
                lines.writerows(_line(place, answer) for place, answer in zip(chunk.places, answers, strict=True))
            _add_failed(result, chunk)
            lines.writerows([cell(str(place)), "", "", "", cell(reason)] for place, reason in chunk.failed)
            context.progress(result.count + result.failed, source.total, "predicting")
            _check_failures(result, source.total, params)
    return result


def _source(inputs: Inputs, preprocess: TableInput | PictureInput, params: PredictParams, context: Context) -> Source:
    table, images = inputs.optional("table"), inputs.many("images")
    if isinstance(preprocess, TableInput):
        if table is None or images:
            raise InvalidParams("This model takes a table: give 'table', and no 'images'.", field="inputs.table")
        return table_source(table, preprocess, params, context)
    if table is not None or not images:
        raise InvalidParams("This model takes pictures: give 'images', and no 'table'.", field="inputs.images")
    return picture_source(images, preprocess, params, context)


def _add(result: PredictResult, places: Iterable[Place], answers: Iterable[Answer]) -> None:
    room = LISTED_SCORES - sum(len(each.top or ()) for each in result.predictions)
    for place, answer in zip(places, answers, strict=True):
        result.count += 1
        if result.count <= LISTED:
            top = None if answer.top is None else answer.top[: max(1, room)]
            room -= len(top or ())
            told: dict[str, Any] = {
                "label": answer.label,
                "score": answer.score,
                "top": top,
                "value": answer.value,
            }
            at: dict[str, Any] = {"row": place.row, "image": place.image, "index": place.index}
            result.predictions.append(PredictPrediction(**at, **told))


def _add_failed(result: PredictResult, chunk: Chunk) -> None:
    for place, reason in chunk.failed:
        result.failed += 1
        if result.failed <= LISTED:
            at: dict[str, Any] = {"row": place.row, "image": place.image, "index": place.index}
            result.failures.append(PredictFailure(**at, reason=reason))


def _line(place: Place, answer: Answer) -> list[str]:
    if answer.value is not None:
        return [cell(str(place)), f"{answer.value:.9g}", "", "", ""]
    top = "; ".join(f"{each.label} {each.score:.6g}" for each in answer.top or ())
    return [cell(str(place)), cell(answer.label or ""), f"{answer.score or 0:.6g}", cell(top), ""]


def _check_failures(result: PredictResult, total: int, params: PredictParams) -> None:
    if result.failed > params.max_failure_rate * total:
        first = result.failures[0]
        raise UnreadableInput(
            f"{result.failed} of {total} have no prediction, more than max_failure_rate {params.max_failure_rate:g} "
            f"allows; the first, {first.image or f'row {first.row}'}: {first.reason}",
            field="inputs.table" if first.image is None else f"inputs.images[{first.index}]",
        )
