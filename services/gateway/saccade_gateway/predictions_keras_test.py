"""Predictions over HTTP: a real gateway, records, bytes, serving loop, model server and SavedModels."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from saccade_core.blobs import Blobs
from saccade_core.records import models
from saccade_gateway.testing import NO_REDIS, Serve, Served
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.tables.encode import CategoryColumn, NumberColumn, TableInput
from servers.model_server import Running, running_keeper, running_server
from servers.networks import Network
from servers.trained import register_version

TABLE = TableInput(
    columns=[
        NumberColumn(name="age", median=40, mean=40, std=10),
        CategoryColumn(name="country", categories=["France", "Spain"], most_frequent="France"),
    ],
    target="exited",
    task="binary",
    labels=["stays", "leaves"],
)
DIGITS = PictureInput(height=2, width=2, channels=1, labels=["zero", "one", "two"])
ROW = {"age": 60, "country": "Spain"}


@dataclass(frozen=True)
class Made:
    """SavedModels by name, and the networks that they are of."""

    folder: Path
    networks: Mapping[str, Network]

    def leaves(self, name: str) -> float:
        """What the network says of ROW by itself."""
        return self.networks[name](TABLE.encode_rows([ROW]))[0][0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    networks = {f"churn{n}": Network(folder / f"churn{n}", (4,), 1, bias=float(n)) for n in (1, 2)}
    return Made(folder, {**networks, "digits": Network(folder / "digits", (2, 2, 1), 3)})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    with running_server(tmp_path_factory.mktemp("served")) as running:
        yield running


@dataclass
class Stack:
    """A gateway with a model server and, while ``keeper`` runs, what brings models to it."""

    api: httpx.Client
    served: Served
    made: Made

    @property
    def blobs(self) -> Blobs:
        return self.served.app.state.gateway.blobs

    def churn(self, version: int, **more: Any) -> int:
        return register_version(
            self.served.db, self.blobs, "churn", self.made.folder / f"churn{version}", TABLE, **more
        )

    def predict(self, name: str, **body: Any) -> httpx.Response:
        return self.api.post(f"/v1/models/{name}/predict", json=body)


@pytest.fixture
def stack(serve: Serve, server: Running, made: Made, tmp_path: Path) -> Generator[Stack]:
    with serve(serving_url=server.address) as served, served.client() as api:
        yield Stack(api, served, made)


@pytest.fixture
def kept(stack: Stack, server: Running, tmp_path: Path) -> Generator[Stack]:
    """With a keeper."""
    settings = stack.served.settings
    with running_keeper(server, settings.database_url, settings.blobs_url, NO_REDIS, tmp_path):
        yield stack


def test_raw_rows_are_predicted_by_the_version_that_was_asked_for(kept: Stack) -> None:
    assert [kept.churn(1), kept.churn(2)] == [1, 2]
    answer = kept.predict("churn", rows=[ROW, {"age": None, "country": "Elsewhere"}], version=1)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == {"name": "churn", "version": 1}
    first, second = body["predictions"]
    leaves = kept.made.leaves("churn1")
    assert {each["label"]: each["score"] for each in first["top"]} == pytest.approx(
        {"leaves": leaves, "stays": 1 - leaves}, abs=1e-6
    )
    assert first["label"] == first["top"][0]["label"]
    assert second["top"] != first["top"]
    encoded = TABLE.encode_rows([ROW])
    same = kept.predict("churn", instances=encoded, version=1, top_k=1).json()["predictions"]
    assert same == [{**first, "top": first["top"][:1]}]
    assert kept.predict("churn", rows=[ROW]).json()["model"]["version"] == 2  # the newest
    changed = kept.api.put("/v1/models/churn/aliases/production", json={"version": 1})
    assert changed.status_code == 200, changed.text
    assert kept.predict("churn", rows=[ROW]).json()["model"]["version"] == 1
    assert kept.predict("churn", rows=[ROW], alias="production").json()["predictions"] == [first]


def test_an_alias_changes_under_load_without_a_failed_request(kept: Stack) -> None:
    kept.churn(1)
    kept.churn(2)
    expected = {1: kept.made.leaves("churn1"), 2: kept.made.leaves("churn2")}
    alias = "/v1/models/churn/aliases/production"
    assert kept.api.put(alias, json={"version": 1}).status_code == 200
    stop = threading.Event()

    def load(_: int) -> set[int]:
        seen: set[int] = set()
        with kept.served.client() as api:
            while not stop.is_set():
                answer = api.post("/v1/models/churn/predict", json={"rows": [ROW], "alias": "production"})
                assert answer.status_code == 200, answer.text
                body = answer.json()
                scores = {each["label"]: each["score"] for each in body["predictions"][0]["top"]}
                assert scores["leaves"] == pytest.approx(expected[body["model"]["version"]], abs=1e-6)
                seen.add(body["model"]["version"])
        return seen

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(load, number) for number in range(4)]
        for version in (2, 1, 2):
            assert kept.api.put(alias, json={"version": version}).status_code == 200
        stop.set()
        assert set().union(*(one.result() for one in running)) == {1, 2}  # raises what a request raised


def test_pictures_are_told_where_to_go_and_arrays_are_taken(kept: Stack) -> None:
    register_version(kept.served.db, kept.blobs, "digits", kept.made.folder / "digits", DIGITS, family="classifier")
    refused = kept.predict("digits", rows=[ROW])
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rows")
    answer = kept.predict("digits", instances=[[[[0.1], [0.2]], [[0.3], [1]]]], top_k=2).json()
    (prediction,) = answer["predictions"]
    assert [each["score"] for each in prediction["top"]] == sorted(
        (e["score"] for e in prediction["top"]), reverse=True
    )
    assert len(prediction["top"]) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"rows": [], "version": 1}, "rows"),
        ({"rows": [{"age": "old", "country": "Spain"}]}, "rows[0].age"),
        ({"rows": [{"age": 1}]}, "rows[0].country"),
        ({"instances": [[1, 2, 3]]}, "instances[0]"),
        ({"instances": [[1, 2, 3, 1e39]]}, "instances[0]"),
        ({"instances": [[1, 2, 3, True]]}, "instances[0]"),
        ({"instances": [[1, 2, 3, "4"]]}, "instances[0]"),
        ({"rows": [ROW], "instances": [[1, 2, 3, 4]]}, ""),
        ({"rows": [ROW], "version": 1, "alias": "production"}, ""),
        ({"rows": [ROW], "top_k": 0}, "top_k"),
    ],
)
def test_wrong_requests_name_the_field(stack: Stack, body: dict[str, Any], field: str) -> None:
    stack.churn(1)
    answer = stack.predict("churn", **body)
    assert answer.status_code == 422, answer.text
    assert field in answer.text


def test_what_is_not_there_or_may_not_be_served(stack: Stack) -> None:
    assert stack.predict("churn", rows=[ROW]).status_code == 404
    stack.churn(1, checks={"saved_model": 0.1})
    assert stack.predict("churn", rows=[ROW], version=9).status_code == 404
    assert stack.predict("churn", rows=[ROW], alias="nobody").status_code == 404
    refused = stack.predict("churn", rows=[ROW])
    assert (refused.status_code, refused.json()["code"]) == (409, "not_servable")
    register_version(stack.served.db, stack.blobs, "cells", stack.made.folder / "digits", DIGITS, family="yolo")
    assert stack.predict("cells", rows=[ROW]).status_code == 422
    deep = stack.api.post(
        "/v1/models/churn/predict", content=b"[" * 100_000, headers={"Content-Type": "application/json"}
    )
    assert deep.status_code == 422


def test_without_a_keeper_nothing_is_loaded_and_the_caller_is_told_to_come_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade_gateway.routes.predictions._WAIT_S", 0.3)
    version = stack.churn(1)
    answer = stack.predict("churn", rows=[ROW])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert [row.version for row in models.servable(stack.served.db, 60.0)] == [version]


def test_without_a_model_server_the_setting_is_named(serve: Serve, made: Made) -> None:
    with serve() as served, served.client() as api:
        stack = Stack(api, served, made)
        stack.churn(1)
        answer = stack.predict("churn", rows=[ROW])
        assert answer.status_code == 503
        assert "SACCADE_SERVING_URL" in answer.json()["detail"]
        assert api.put("/v1/models/churn/aliases/production", json={"version": 1}).status_code == 200
