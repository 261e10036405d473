"""What ``predict`` takes and gives."""

from __future__ import annotations

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_core.media_types import XLSX
from saccade_core.trained import TrainedRef
from saccade_models.serving.answers import LabelScore

#: Predictions, and inputs without one, that the result itself lists; the CSV has all.
LISTED = 1000
#: Labels with scores that the result lists; beyond them of each prediction only the best.
LISTED_SCORES = 50_000


class PredictParams(Params):
    """Which model, and how much of its answers."""

    model: str = Field(
        min_length=1,
        max_length=130,
        description="A trained model: name, name@version or name@alias; the name alone is its alias production, else "
        "the newest version",
    )
    top_k: int = Field(default=5, ge=1, le=1000, description="How many labels of each prediction, the best first")
    batch_size: int = Field(
        default=256, ge=1, le=4096, description="Rows or pictures in one request to the model server"
    )
    sheet: str | None = Field(
        default=None, min_length=1, max_length=255, description="Of a workbook: the sheet's name; null is the first"
    )
    max_failure_rate: float = Field(
        default=0.1, ge=0, le=1, description="Share of rows or pictures that may be without a prediction"
    )


class PredictPrediction(Result):
    """The prediction for one row (as a spreadsheet counts: a CSV's header is row 1) or one picture (by its name, and
    its place among ``images``, from 0 on). Of classes ``label``, ``score`` 0..1 and ``top``; of a regression ``value``.
    """

    row: int | None = None
    image: str | None = None
    index: int | None = None
    label: str | None = None
    score: float | None = None
    top: list[LabelScore] | None = None
    value: float | None = None


class PredictFailure(Result):
    """A row or picture without a prediction, and why."""

    row: int | None = None
    image: str | None = None
    index: int | None = None
    reason: str


class PredictResult(Result):
    """``predictions`` are the first 1,000, all are in predictions.csv; ``failures`` the first 1,000 of ``failed``.

    All ``top`` together have 50,000 labels at most, of the predictions after that only the best one.
    """

    model: TrainedRef
    count: int
    failed: int
    predictions: list[PredictPrediction]
    failures: list[PredictFailure]


KIND = Kind(
    name="predict",
    pool=("cpu", "keras"),
    summary="Predict with a trained model: rows of a table, or pictures.",
    inputs={
        "table": Input(
            accepts=("text", XLSX, "application/zip", "application/vnd.apache.parquet"),
            description="CSV, XLSX or Parquet with the columns that the model was trained on; others may be there too",
            required=False,
        ),
        "images": Input(accepts=("image",), description="Pictures, for a model of pictures", many=True, required=False),
    },
    params=PredictParams,
    result=PredictResult,
    artifacts=(Artifact("predictions.csv", "Each row or picture with its prediction, or with why it has none"),),
    models=lambda params: (params.model,),
    families=("tabular", "classifier"),
    predicts=True,
    time_limit_s=3600,
    memory_mb=3072,
)
