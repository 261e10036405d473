"""``predict`` without a model server: the model's ONNX form answers."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import BaseModel, ValidationError

from saccade_core.errors import Cancelled, EngineFailed, InvalidParams, NotServable, UnreadableInput
from saccade_core.kind import ModelFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.predict.contract import PredictParams, PredictResult
from saccade_kinds.predict.runner import run
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.serving.protocol import model_status
from saccade_models.tables.encode import CategoryColumn, NumberColumn, TableInput
from servers.serving_protocol import answering

AGE = NumberColumn(name="age", median=40, mean=0, std=1)
PLAN = CategoryColumn(name="plan", categories=["basic", "=plus"], most_frequent="basic")
#: age, and of the plan: basic, plus, another.
TABLE = TableInput(columns=[AGE, PLAN], target="left", task="multiclass", labels=["no", "=maybe", "yes"])
VALUE = TableInput(columns=[AGE, PLAN], target="price", task="regression")
DIGITS = PictureInput(height=2, width=2, channels=1, labels=["dark", "bright"])
SERVABLE = {"served_name": "churn", "may_serve": True}

Make = Callable[..., LocalContext]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Contexts with a model: ``outputs = inputs @ weights``, of the flattened inputs."""
    monkeypatch.delenv("SACCADE_SERVING_URL", raising=False)

    def make(preprocess: BaseModel, shape: tuple[int, ...], weights: Any, **more: Any) -> LocalContext:
        (tmp_path / "preprocess.json").write_text(preprocess.model_dump_json(), "utf-8")
        files = {"preprocess": tmp_path / "preprocess.json", "onnx": linear(tmp_path, shape, weights)}
        found = ModelFiles("churn", "3", f"{tmp_path}", files, SERVABLE)
        return LocalContext(tmp_path / "run", weights=lambda _: found, **more)

    return make


def linear(folder: Path, shape: tuple[int, ...], weights: Any) -> Path:
    matrix = np.array(weights, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["inputs"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["outputs"]),
        ],
        "linear",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", matrix.shape[1]])],
        [numpy_helper.from_array(matrix, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(folder / "model.onnx"))
    return folder / "model.onnx"


def table(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def ask(context: LocalContext, **given: Any) -> PredictResult:
    files = {name: value for name, value in given.items() if name in {"table", "images"}}
    params = {name: value for name, value in given.items() if name not in files}
    return run(inputs_of(**files), PredictParams(model="churn", **params), context)


def lines_of(context: LocalContext) -> list[list[str]]:
    with (context.artifacts / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


CLASSES = [[0.0, 0.0, 0.1], [0.7, 0.2, 0.1], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]]


def test_each_row_is_predicted_with_its_number(model: Make, tmp_path: Path) -> None:
    context = model(TABLE, (4,), CLASSES)
    file = table(tmp_path, "plan,age,other", "basic,0,x", "=plus,0,y", "new,0,z", ",0,")
    result = ask(context, table=file, top_k=2, batch_size=3)
    assert (result.model.name, result.model.version, result.count, result.failed) == ("churn", 3, 4, 0)
    assert [(each.row, each.label) for each in result.predictions] == [(2, "no"), (3, "=maybe"), (4, "yes"), (5, "no")]
    first = result.predictions[0]
    assert first.score == pytest.approx(0.7)
    assert [(each.label, round(each.score, 6)) for each in first.top or ()] == [("no", 0.7), ("=maybe", 0.2)]
    assert lines_of(context)[:3] == [
        ["row", "prediction", "score", "top", "problem"],
        ["2", "no", "0.7", "no 0.7; =maybe 0.2", ""],
        ["3", "'=maybe", "0.8", "'=maybe 0.8; no 0.2", ""],  # no formula for a spreadsheet
    ]
    assert context.models[0] == ("churn", "3", str(tmp_path))
    assert context.models[1][0] == "onnxruntime"
    assert context.reported[-1][:2] == (4, 4)


def test_rows_that_cannot_be_are_named_and_the_others_predicted(model: Make, tmp_path: Path) -> None:
    file = table(tmp_path, "age,plan", "1,basic", "old,basic", "2,basic", "3,basic,4,5")
    result = ask(model(VALUE, (4,), [[2.0], [1.0], [0.0], [0.0]]), table=file, max_failure_rate=0.5)
    assert [(each.row, each.value) for each in result.predictions] == [(2, 3.0), (4, 5.0)]
    assert (result.count, result.failed) == (2, 2)
    reasons = {each.row: each.reason for each in result.failures}
    assert "more cells" in reasons[5]
    assert "'age' must be a number" in reasons[3]
    assert "'old'" in reasons[3]
    with pytest.raises(UnreadableInput, match=r"2 of 4 have no prediction, .* row [35]"):
        ask(model(VALUE, (4,), [[1.0]] * 4), table=file, max_failure_rate=0.4)


def test_a_column_that_is_not_there_is_told_once(model: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidParams, match="no column 'age'") as caught:
        ask(model(VALUE, (4,), [[1.0]] * 4), table=table(tmp_path, "plan,years", "basic,1"))
    assert (caught.value.field, caught.value.received) == ("table", "plan, years")


def test_pictures_are_predicted_and_broken_ones_listed(model: Make, tmp_path: Path) -> None:
    context = model(DIGITS, (2, 2, 1), [[0.25]] * 4)
    paths: list[Path] = []
    for name, value in (("dark.png", 0), ("bright.png", 255)):
        cv2.imwrite(str(tmp_path / name), np.full((8, 6, 3), value, np.uint8))
        paths.append(tmp_path / name)
    (tmp_path / "broken.png").write_text("no picture")
    result = ask(context, images=[paths[0], tmp_path / "broken.png", paths[1]], max_failure_rate=0.5)
    assert [(each.index, each.image, each.label) for each in result.predictions] == [
        (0, "dark.png", "dark"),
        (2, "bright.png", "bright"),
    ]
    assert [(each.index, each.image) for each in result.failures] == [(1, "broken.png")]
    assert [line[0] for line in lines_of(context)] == ["image", "dark.png", "bright.png", "broken.png"]


def test_a_table_is_for_a_table_model_and_pictures_for_one_of_pictures(model: Make, tmp_path: Path) -> None:
    file = table(tmp_path, "age,plan", "1,basic")
    with pytest.raises(InvalidParams, match="takes pictures"):
        ask(model(DIGITS, (2, 2, 1), [[0.25]] * 4), table=file)
    context = model(VALUE, (4,), [[1.0]] * 4)
    with pytest.raises(InvalidParams, match="takes a table"):
        ask(context, images=[file])
    with pytest.raises(InvalidParams, match="takes a table"):
        ask(context)


def test_only_the_first_are_in_the_result_and_all_in_the_file(model: Make, tmp_path: Path) -> None:
    context = model(VALUE, (4,), [[1.0], [0.0], [0.0], [0.0]])
    result = ask(context, table=table(tmp_path, "age,plan", *(f"{n},basic" for n in range(2500))))
    assert (result.count, len(result.predictions)) == (2500, 1000)
    assert [line[1] for line in lines_of(context)[1:]] == [str(n) for n in range(2500)]


def test_what_answers_wrongly_and_what_cannot_answer_is_told(model: Make, tmp_path: Path) -> None:
    file = table(tmp_path, "age,plan", "1,basic")
    with pytest.raises(EngineFailed, match="2 outputs for 3 labels"):
        ask(model(TABLE, (4,), [[1.0, 0.0]] * 4), table=file)
    context = model(TABLE, (4,), CLASSES)
    assert context.weights is not None
    (tmp_path / "preprocess.json").write_text('{"kind": "other"}', "utf-8")
    with pytest.raises(EngineFailed, match=r"preprocess\.json"):
        ask(context, table=file)
    files = {"preprocess": tmp_path / "preprocess.json"}
    files["preprocess"].write_text(TABLE.model_dump_json(), "utf-8")
    bare = LocalContext(tmp_path / "bare", weights=lambda _: ModelFiles("churn", "3", "", files, SERVABLE))
    with pytest.raises(NotServable, match="SACCADE_SERVING_URL") as caught:
        ask(bare, table=file)
    assert not caught.value.retryable


@pytest.mark.parametrize("facts", [{"may_serve": False}, {"may_serve": True, "serving_error": "no such op"}])
def test_what_the_server_will_never_answer_for_is_not_asked_of_it(
    model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]
) -> None:
    file = table(tmp_path, "age,plan", "1,basic")
    context = model(VALUE, (4,), [[1.0], [0.0], [0.0], [0.0]])
    monkeypatch.setenv("SACCADE_SERVING_URL", "127.0.0.1:1")
    files = {"preprocess": tmp_path / "preprocess.json", "onnx": tmp_path / "model.onnx"}
    found = ModelFiles("churn", "3", "", files, {**SERVABLE, **facts})
    context = LocalContext(tmp_path / "run", weights=lambda _: found)
    assert ask(context, table=file).count == 1
    del files["onnx"]
    with pytest.raises(NotServable, match="no ONNX form") as caught:
        ask(context, table=file)
    assert not caught.value.retryable


def test_a_version_that_the_server_cannot_load_ends_the_job(
    model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: Any, call: Any) -> Any:
        call.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")

    def status(_: Any, __: Any) -> Any:
        response = model_status.GetModelStatusResponse()
        response.model_version_status.add(version=3, state=50).status.error_message = "no such op"
        return response

    context = model(VALUE, (4,), [[1.0]] * 4)
    monkeypatch.setattr("saccade_kinds.predict.asking._WAIT_S", 5.0)
    with answering(0, Predict=missing, GetModelStatus=status) as port:
        monkeypatch.setenv("SACCADE_SERVING_URL", f"127.0.0.1:{port}")
        with pytest.raises(NotServable, match="no such op"):
            ask(context, table=table(tmp_path, "age,plan", "1,basic"))


def test_chunks_are_of_so_many_numbers_and_the_result_lists_so_many_labels(
    model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"sources._CHUNK_NUMBERS": 40, "sources._CHUNK_SCORES": 9, "runner.LISTED_SCORES": 8}.items():
        monkeypatch.setattr(f"saccade_kinds.predict.{name}", value)
    file = table(tmp_path, "age,plan", *(f"{n},basic" for n in range(20)))
    context = model(TABLE, (4,), CLASSES)
    result = ask(context, table=file, top_k=1)
    assert [done for done, *_ in context.reported[1:]] == [0, 9, 18, 20]  # 9 labels, and 10 rows of 4 numbers
    context = model(TABLE, (4,), CLASSES)
    result = ask(context, table=file, top_k=3)
    assert [len(each.top or ()) for each in result.predictions] == [3, 3, 2] + [1] * 17
    assert [done for done, *_ in context.reported[1:]] == [0, 3, 6, 9, 12, 15, 18, 20]
    assert all(line[3].count(";") == 2 for line in lines_of(context)[1:])  # the file has all


def test_cancelling_ends_between_chunks(model: Make, tmp_path: Path) -> None:
    context = model(VALUE, (4,), [[1.0]] * 4, cancel_after=3)
    with pytest.raises(Cancelled):
        ask(context, table=table(tmp_path, "age,plan", *(f"{n},basic" for n in range(50))), batch_size=10)
    assert len(context.reported) == 3


@pytest.mark.parametrize("wrong", [{"model": ""}, {"top_k": 0}, {"batch_size": 0}, {"max_failure_rate": 2}])
def test_params_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PredictParams.model_validate({"model": "churn", **wrong})
