"""Real, small trainings; the figures of the full tables are in docs/tables.md."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import polars as pl
import pytest

from saccade_core.assets import asset
from saccade_core.errors import Cancelled, InvalidParams
from saccade_core.testing import LocalContext, inputs_of
from saccade_core.trained import may_serve
from saccade_kinds.train_tabular.contract import TrainTabularParams, TrainTabularResult
from saccade_kinds.train_tabular.runner import run
from saccade_models.serving.answers import decode
from saccade_models.serving.preprocess import load_preprocess
from saccade_models.tables.encode import TableInput

SAMPLE = Path(__file__).parent / "sample"
SMALL: dict[str, Any] = {"target": "Exited", "epochs": 4, "learning_rate": 0.01, "name": "churn"}


def train(table: Path, folder: Path, **params: Any) -> tuple[TrainTabularResult, LocalContext]:
    context = LocalContext(folder)
    return run(inputs_of(table=table), TrainTabularParams.model_validate(params), context), context


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 1,000 rows."""
    with asset("datasets/tabular/Churn_Modelling.csv").open() as whole:
        path = tmp_path_factory.mktemp("churn") / "churn.csv"
        path.write_text("".join(itertools.islice(whole, 1001)))
    return path


@pytest.fixture(scope="module")
def trained(churn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainTabularResult, LocalContext]:
    return train(churn, tmp_path_factory.mktemp("trained"), **SMALL)


def weights(context: LocalContext) -> list[bytes]:
    model: Any = keras.models.load_model(context.artifacts / "model.h5", compile=False)
    return [w.tobytes() for w in model.get_weights()]


def history(context: LocalContext) -> list[dict[str, str]]:
    """Without the seconds, which no two runs share."""
    with (context.artifacts / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_table_becomes_a_registered_model(trained: tuple[TrainTabularResult, LocalContext]) -> None:
    result, context = trained
    assert (result.task, result.labels, result.measured_on) == ("binary", ["0", "1"], "test")
    assert (result.parts.train, result.parts.valid, result.parts.test) == (600, 200, 200)
    assert result.metrics["roc_auc"] > 0.7
    assert result.metrics["accuracy"] >= result.baseline.blind["accuracy"] > 0.7
    assert result.baseline.linear is not None
    assert np.sum(result.confusion) == 200
    assert result.parameters == (result.inputs + 1) * 64 + 65 * 32 + 33
    assert result.epochs_run == len(history(context)) == 4
    assert len(result.diagnosis) > 0
    dropped = {c.name: c.reason for c in result.table.columns if c.role == "dropped"}
    assert set(dropped) == {"RowNumber", "CustomerId", "Surname"}
    assert {name for name, _, _ in context.metrics} >= {"loss", "val_loss"}
    [model] = context.registered
    assert (model.family, model.facts["labels"], dict(model.metrics)) == ("tabular", ["0", "1"], result.metrics)
    assert may_serve(model.checks)
    assert {p.name for p in context.artifacts.iterdir()} == {
        "model.h5",
        "preprocess.json",
        "history.csv",
        "curves.png",
        "confusion.png",
        "columns.json",
        "model-card.md",
    }
    assert json.loads((context.artifacts / "columns.json").read_text())["file"]["rows"] == 1000
    assert "CustomerId" in (context.artifacts / "model-card.md").read_text("utf-8")


def test_raw_rows_go_through_what_was_registered(trained: tuple[TrainTabularResult, LocalContext], churn: Path) -> None:
    _, context = trained
    [model] = context.registered
    table_input = load_preprocess(model.folder / model.roles["preprocess"])
    assert isinstance(table_input, TableInput)
    rows = pl.read_csv(churn).head(300).to_dicts()
    network: Any = keras.models.load_model(model.folder / model.roles["weights"], compile=False)
    outputs = network.predict_on_batch(np.array(table_input.encode_rows(rows), dtype=np.float32))
    answers = decode(table_input, outputs.tolist(), 1)
    assert np.mean([a.label == str(row["Exited"]) for a, row in zip(answers, rows, strict=True)]) > 0.75


class StoppedAtItsSecondCheckpoint(LocalContext):
    """Its job is cancelled then; the folder of checkpoints stays, as after a kill."""

    def save_checkpoint(self, name: str) -> None:
        super().save_checkpoint(name)
        if len(self.saved) == 2:
            self.cancel_after = 0


def test_a_killed_training_goes_on_and_ends_the_same(
    trained: tuple[TrainTabularResult, LocalContext], churn: Path, tmp_path: Path
) -> None:
    whole, reference = trained
    params = TrainTabularParams.model_validate(SMALL)
    first = StoppedAtItsSecondCheckpoint(tmp_path)
    with pytest.raises(Cancelled):
        run(inputs_of(table=churn), params, first)
    assert not first.registered
    again = LocalContext(tmp_path)
    result = run(inputs_of(table=churn), params, again)
    assert any("goes on after epoch" in line for line in again.logged)
    assert result.metrics == whole.metrics
    assert history(again) == history(reference)
    assert weights(again) == weights(reference)


def test_one_seed_gives_one_model(
    trained: tuple[TrainTabularResult, LocalContext], churn: Path, tmp_path: Path
) -> None:
    _, same = train(churn, tmp_path / "same", **SMALL)
    _, other = train(churn, tmp_path / "other", **SMALL, seed=1)
    assert weights(same) == weights(trained[1])
    assert weights(other) != weights(trained[1])


def test_dirty_cells_are_told_and_do_not_stop_the_sample(tmp_path: Path) -> None:
    request = json.loads((SAMPLE / "request.json").read_text())
    result, context = train(SAMPLE / "subscribers.csv", tmp_path, **{**request["params"], "epochs": 2})
    told = {(d.row, d.column, d.issue) for d in result.table.dirty.cells}
    assert told == {
        (18, "left", "other_spelling"),
        (42, "hours_watched", "not_a_number"),
        (101, "plan", "other_spelling"),
        (79, "months", "missing"),
        (122, "left", "missing_target"),
        (152, "plan", "wrong_label"),
    }
    assert result.table.dirty.rows_left_out == 1
    assert sum((result.parts.train, result.parts.valid, result.parts.test)) == 199
    assert result.labels == ["no", "yes"]
    assert len((context.artifacts / "dirty-cells.csv").read_text().splitlines()) == 7


def test_a_number_is_predicted_in_its_own_unit(tmp_path: Path) -> None:
    path = asset("datasets/tabular/Admission_Predict.csv")
    result, context = train(path, tmp_path, target="Chance of Admit", epochs=30, hidden_layers=[16], batch_size=16)
    assert (result.task, result.labels, result.target) == ("regression", [], "Chance of Admit")
    assert result.metrics["r2"] > 0.6
    assert result.metrics["mae"] < 0.1
    assert (context.artifacts / "residuals.png").exists()


@pytest.mark.parametrize(
    ("gate", "preset", "learnt"), [("or", "perceptron", True), ("xor", "perceptron", False), ("xor", "mlp", True)]
)
def test_four_rows_without_parts(tmp_path: Path, gate: str, preset: str, learnt: bool) -> None:
    truth = {"or": (0, 1, 1, 1), "xor": (0, 1, 1, 0)}[gate]
    rows = [f"{n // 2},{n % 2},{y}\n" for n, y in enumerate(truth)]
    (tmp_path / "gate.csv").write_text("a,b,y\n" + "".join(rows))
    params: dict[str, Any] = {"target": "y", "preset": preset, "epochs": 60, "batch_size": 1, "learning_rate": 0.05}
    result, _ = train(tmp_path / "gate.csv", tmp_path / gate, **params, validation_split=0, test_split=0)
    assert result.measured_on == "train"
    assert (result.metrics["accuracy"] == 1) is learnt


def test_a_training_that_learnt_nothing_registers_nothing(churn: Path, tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    params = {"target": "EstimatedSalary", "optimizer": "sgd", "learning_rate": 100, "activation": "linear"}
    with pytest.raises(InvalidParams, match="The loss diverged") as caught:
        run(inputs_of(table=churn), TrainTabularParams.model_validate(params), context)
    assert (caught.value.field, caught.value.received) == ("params.learning_rate", 100)
    assert not context.registered


def test_what_cannot_be_trained_is_refused(churn: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="'Exited'") as caught:
        train(churn, tmp_path / "a", target="Churned")
    assert (caught.value.field, caught.value.received) == ("params.target", "Churned")
    (tmp_path / "few.csv").write_text("a,y\n1,0\n2,1\n3,1\n")
    with pytest.raises(InvalidParams, match="too few") as caught:
        train(tmp_path / "few.csv", tmp_path / "b", target="y")
    assert caught.value.field == "params.validation_split"
