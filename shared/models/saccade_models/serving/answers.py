"""What a served model's outputs mean: labels with scores, or values. Light."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from saccade_core.errors import EngineFailed
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.tables.encode import TableInput


class LabelScore(BaseModel):
    """A label and how probable it is, 0..1."""

    label: str
    score: float


class Answer(BaseModel):
    """The prediction for one row or picture: of classes the best ``label`` and the ``top`` ones, best first; of a
    regression ``value``."""

    label: str | None = None
    score: float | None = None
    top: list[LabelScore] | None = Field(default=None, description="The best labels, best first")
    value: float | None = None


def decode(preprocess: TableInput | PictureInput, outputs: Sequence[Sequence[float]], top_k: int) -> list[Answer]:
    """The network's outputs, (N, 1) or (N, classes), as answers with ``top_k`` labels. EngineFailed where they do not
    fit the model's labels."""
    if isinstance(preprocess, TableInput) and preprocess.task == "regression":
        return [Answer(value=row[0]) for row in outputs]
    return [_classes(preprocess.labels, row, top_k) for row in outputs]


def _classes(labels: Sequence[str], row: Sequence[float], top_k: int) -> Answer:
    chances = [1 - row[0], row[0]] if len(row) == 1 else row  # one output is the second label's
    if len(chances) != len(labels):
        raise EngineFailed(f"The model gives {len(row)} outputs for {len(labels)} labels.")
    ranked = sorted(zip(labels, chances, strict=True), key=_falling)
    top = [LabelScore(label=label, score=chance) for label, chance in ranked[:top_k]]
    return Answer(label=top[0].label, score=top[0].score, top=top)


def _falling(pair: tuple[str, float]) -> float:
    return -pair[1]
