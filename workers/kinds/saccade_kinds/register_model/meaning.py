"""What a network's inputs and outputs mean: as the params say, or as is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from saccade_core.errors import InvalidParams
from saccade_kinds.register_model.contract import RegisterModelParams
from saccade_kinds.register_model.opening import Network
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.tables.encode import NumberColumn, TableInput

_MOST_COLUMNS = 2000


@dataclass(frozen=True, slots=True)
class Meaning:
    """``preprocess`` is None where raw rows or pictures cannot be turned into the network's input."""

    family: Literal["tabular", "classifier"]
    task: Literal["binary", "multiclass", "regression"]
    labels: list[str]
    preprocess: TableInput | PictureInput | None
    notes: list[str]


def meaning_of(params: RegisterModelParams, network: Network) -> Meaning:
    """Raises InvalidParams where labels or preprocess do not fit the network."""
    input_shape, units = network.input_shape, network.units
    if params.preprocess is not None:
        return _stated(params.preprocess, input_shape, units)
    family = "tabular" if len(input_shape) == 1 else "classifier"
    notes: list[str] = []
    labels = params.labels or []
    if not labels and (family == "classifier" or units > 1):
        labels = [str(n) for n in range(max(2, units))]
        notes.append("No labels were given: classes are called by their numbers.")
    _check_labels(labels, units, "params.labels")
    task = _task(labels, units)
    usual: TableInput | PictureInput | None = None
    if family == "tabular" and input_shape[0] <= _MOST_COLUMNS:
        columns = [NumberColumn(name=f"x{n}", median=0, mean=0, std=1) for n in range(1, input_shape[0] + 1)]
        usual = TableInput(columns=[*columns], target="y", task=task, labels=labels)
        notes.append(f"No preprocess was given: rows have the columns x1 to x{len(columns)}, numbers as they are.")
    elif family == "classifier" and not network.channels_first and input_shape[-1] in {1, 3}:
        sides: dict[str, Any] = dict(zip(("height", "width", "channels"), input_shape, strict=True))
        usual = PictureInput(**sides, labels=labels)
        notes.append("No preprocess was given: of pictures, values 0..255 are divided by 255.")
    else:
        notes.append("Without preprocess the model takes arrays only.")
    return Meaning(family, task, labels, usual, notes)


def _stated(stated: TableInput | PictureInput, input_shape: tuple[int, ...], units: int) -> Meaning:
    shape = (stated.width,) if isinstance(stated, TableInput) else stated.shape
    if shape != input_shape:
        raise InvalidParams(
            f"preprocess makes {shape}, and the network takes {input_shape}.", field="params.preprocess", received=shape
        )
    labels = list(stated.labels)
    _check_labels(labels, units, "params.preprocess.labels")
    task = _task(labels, units)
    if isinstance(stated, TableInput) and stated.task != task:
        raise InvalidParams(
            f"{units} outputs and {len(labels)} labels make a {task} network.",
            field="params.preprocess.task",
            received=stated.task,
        )
    return Meaning("tabular" if isinstance(stated, TableInput) else "classifier", task, labels, stated, [])


def _check_labels(labels: list[str], units: int, field: str) -> None:
    wanted = {0, 2} if units == 1 else {units}
    if len(labels) not in wanted:
        raise InvalidParams(
            f"The network has {units} outputs, which needs {' or '.join(map(str, sorted(wanted)))} labels.",
            field=field,
            received=len(labels),
        )


def _task(labels: list[str], units: int) -> Literal["binary", "multiclass", "regression"]:
    if units > 1:
        return "multiclass"
    return "binary" if labels else "regression"
