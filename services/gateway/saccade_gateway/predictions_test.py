"""Predictions over HTTP that would take a gateway's memory or threads; the model server is a stand-in."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest
from pydantic import BaseModel

from saccade_gateway.testing import Serve, Served
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.serving.protocol import model_status, predict
from saccade_models.tables.encode import CategoryColumn, TableInput
from servers.serving_protocol import answering
from servers.stack import eventually
from servers.trained import register_files

WORDS = [f"w{number}" for number in range(999)]
WIDE = TableInput(
    columns=[CategoryColumn(name=f"c{n}", categories=WORDS, most_frequent="w0") for n in range(10)],
    target="y",
    task="regression",
)
MANY = PictureInput(height=1, width=1, channels=1, labels=WORDS)
ONE = PictureInput(height=1, width=1, channels=1, labels=["a", "b"])
TOO_MUCH = 10**20


@dataclass
class Stack:
    """A gateway and its model server, whose calls wait for ``go``; where ``loaded`` is not set it has nothing."""

    served: Served
    api: httpx.Client
    go: threading.Event
    loaded: threading.Event
    asked: list[str] = field(default_factory=list[str])

    def register(self, name: str, preprocess: BaseModel) -> None:
        files = {"model.h5": b"weights", "preprocess.json": preprocess.model_dump_json().encode()}
        roles = {"weights": "model.h5", "preprocess": "preprocess.json"}
        register_files(self.served.db, self.served.app.state.gateway.blobs, name, files, roles=roles)

    def predict(self, name: str, **body: Any) -> httpx.Response:
        return self.api.post(f"/v1/models/{name}/predict", json=body)


@pytest.fixture
def stack(serve: Serve) -> Generator[Stack]:
    go, loaded, asked = threading.Event(), threading.Event(), list[str]()
    go.set()
    loaded.set()

    def answer(request: Any, call: Any) -> Any:
        asked.append(request.model_spec.name)
        if not loaded.is_set():
            call.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        go.wait(20)
        response = predict.PredictResponse()
        out = response.outputs["outputs"]
        out.dtype = 1
        for size in (request.inputs["inputs"].tensor_shape.dim[0].size, 1):
            out.tensor_shape.dim.add(size=size)
        out.tensor_content = array("f", [0.25] * out.tensor_shape.dim[0].size).tobytes()
        return response

    def status(_: Any, __: Any) -> Any:
        response = model_status.GetModelStatusResponse()
        if loaded.is_set():
            response.model_version_status.add(version=1, state=30)
        return response

    with (
        answering(0, Predict=answer, GetModelStatus=status) as port,
        serve(serving_url=f"127.0.0.1:{port}") as served,
        served.client() as api,
    ):
        yield Stack(served, api, go, loaded, asked)
        go.set()


def test_rows_that_become_too_many_numbers_are_refused_before_they_do(stack: Stack) -> None:
    stack.register("wide", WIDE)
    answer = stack.predict("wide", rows=[{f"c{n}": "w1" for n in range(10)}] * 201)
    body = answer.json()
    assert (answer.status_code, body["code"], body["errors"][0]["field"]) == (413, "too_large", "rows")
    assert "2000000" in body["detail"]
    assert stack.asked == []
    assert stack.predict("wide", rows=[{f"c{n}": "w1" for n in range(10)}] * 2).status_code == 200


def test_answers_of_too_many_labels_are_refused(stack: Stack) -> None:
    stack.register("many", MANY)
    answer = stack.predict("many", instances=[[[[0.5]]]] * 2000, top_k=101)
    body = answer.json()
    assert (answer.status_code, body["errors"][0]["field"]) == (422, "top_k")
    assert "200000" in body["detail"]
    assert stack.predict("many", instances=[[[[0.5]]]] * 2003).status_code == 413  # 999 outputs for each
    assert stack.asked == []


def _meanwhile(stack: Stack, count: int, until: Callable[[list[int]], bool]) -> list[int]:
    """Predict ``count`` times at once, see that the records still answer, and let the model server go on."""
    found: list[int] = []

    def one(_: int) -> None:
        with stack.served.client() as api:
            answer = api.post("/v1/models/one/predict", json={"instances": [[[[0.5]]]]})
            assert answer.status_code == 200 or "Retry-After" in answer.headers
            found.append(answer.status_code)

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(one, number) for number in range(count)]
        try:
            eventually(lambda: until(found))
            assert stack.api.get("/v1/jobs", timeout=5).status_code == 200
        finally:
            stack.go.set()
            stack.loaded.set()
        for each in running:
            each.result()
    return found


def test_slow_predictions_hold_no_other_request(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade_gateway.serving._BUSY_S", 0.3)
    stack.register("one", ONE)
    assert stack.predict("one", instances=[[[[0.5]]]]).status_code == 200
    stack.go.clear()
    statuses = _meanwhile(stack, 50, lambda found: 503 in found)
    assert set(statuses) == {200, 503}


def test_waiting_for_a_model_to_be_loaded_holds_no_other_request(stack: Stack) -> None:
    stack.loaded.clear()
    stack.register("one", ONE)
    statuses = _meanwhile(stack, 50, lambda _: len(stack.asked) > 38)
    assert 200 in statuses


def test_numbers_that_the_records_cannot_hold_are_refused(stack: Stack) -> None:
    stack.register("one", ONE)
    path = "/v1/models/one"
    answers = [
        stack.predict("one", instances=[[[[0.5]]]], version=TOO_MUCH),
        stack.api.delete(f"{path}/versions/{TOO_MUCH}"),
        stack.api.put(f"{path}/aliases/production", json={"version": TOO_MUCH}),
        stack.api.get(path, params={"cursor": TOO_MUCH}),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
