"""The model registry over HTTP: models, versions, files, aliases, comparisons and removals."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from saccade_core.records import model_aliases, models
from saccade_gateway import job_requests
from saccade_gateway.testing import Serve, Served
from saccade_models import weights
from servers.trained import register_files


def train(gateway: Served, name: str = "churn", project: str = "default", **more: Any) -> int:
    """A new version of the model; its number."""
    version = len(models.list_versions(gateway.db, project, name)) + 1
    lineage = {
        "kind": "trainer",
        "data": {"table": "0" * 64},
        "params": {"epochs": 10 * version, "seed": 0},
        "code_version": "saccade 1",
    }
    told = {"metrics": {"accuracy": (80 + version) / 100}, "facts": {"labels": ["0", "1"]}, "lineage": lineage}
    files = {path: f"{path} {version}".encode() for path in ("model.h5", "saved_model/saved_model.pb")}
    return register_files(gateway.db, gateway.app.state.gateway.blobs, name, files, project, **{**told, **more})


@pytest.fixture
def churn(gateway: Served) -> Served:
    """A gateway with two versions of a model, the first in production."""
    for _ in range(2):
        train(gateway)
    model_aliases.set_alias(gateway.db, "default", "churn", "production", 1)
    return gateway


def put_alias(api: httpx.Client, version: Any, alias: str = "production", name: str = "churn") -> httpx.Response:
    return api.put(f"/v1/models/{name}/aliases/{alias}", json={"version": version})


def keys(gateway: Served) -> list[str]:
    return sorted(stat.key for stat in gateway.app.state.gateway.blobs.list("models/"))


def test_models_are_listed_beside_the_registered_weights(churn: Served, api: httpx.Client) -> None:
    train(churn, "a")
    page = api.get("/v1/models").json()
    assert page["next_cursor"] is None
    names = [item["name"] for item in page["items"]]
    assert names == sorted(["a", "churn", *weights.models()])
    [churned] = [item for item in page["items"] if item["name"] == "churn"]
    expected = {
        "source": "trained",
        "family": "tabular",
        "version": "2",
        "versions": 2,
        "aliases": {"production": 1},
        "url": "/v1/models/churn",
    }
    assert expected.items() <= churned.items()
    built_in = {item["name"] for item in page["items"] if item["source"] == "built_in"}
    assert built_in == set(weights.models())
    paged: list[str] = []
    cursor = ""
    while cursor is not None:
        some = api.get("/v1/models", params={"limit": 1, "cursor": cursor}).json()
        paged += [item["name"] for item in some["items"]]
        cursor = some["next_cursor"]
    assert paged == names


def test_a_model_tells_its_versions_and_what_its_aliases_stood_for(churn: Served, api: httpx.Client) -> None:
    put_alias(api, 2)
    model = api.get("/v1/models/churn").json()
    assert (model["source"], model["family"], model["next_cursor"]) == ("trained", "tabular", None)
    assert [(v["version"], v["aliases"], v["may_serve"]) for v in model["versions"]] == [
        (2, ["production"], True),
        (1, [], True),
    ]
    assert [(a["alias"], a["version"]) for a in model["aliases"]] == [("production", 2)]
    assert [(a["alias"], a["version"]) for a in model["history"]] == [("production", 2), ("production", 1)]
    first = api.get("/v1/models/churn", params={"limit": 1}).json()
    assert ([v["version"] for v in first["versions"]], first["next_cursor"]) == ([2], 2)
    rest = api.get("/v1/models/churn", params={"cursor": 2}).json()
    assert ([v["version"] for v in rest["versions"]], rest["next_cursor"]) == ([1], None)


def test_registered_weights_tell_their_versions(shared_api: httpx.Client) -> None:
    model = shared_api.get("/v1/models/yolo11n").json()
    assert (model["source"], model["family"], model["versions"]) == ("built_in", "yolo", [])
    expected = [(v.version, v.sha256) for v in weights.models()["yolo11n"].versions]
    assert [(v["version"], v["sha256"]) for v in model["weights"]] == expected


@pytest.mark.parametrize("version", ["1", "production"])
def test_a_version_tells_where_it_comes_from_and_gives_its_files(
    churn: Served, api: httpx.Client, version: str
) -> None:
    found = api.get(f"/v1/models/churn/versions/{version}").json()
    assert (found["version"], found["metrics"], found["checks"]) == (1, {"accuracy": 0.81}, {"saved_model": 0.0})
    assert found["lineage"]["params"] == {"epochs": 10, "seed": 0}
    assert (found["lineage"]["data"], found["lineage"]["job"]) == ({"table": "0" * 64}, found["job"])
    assert (found["roles"], found["facts"]) == ({"weights": "model.h5"}, {"labels": ["0", "1"]})
    urls = {file["path"]: file["url"] for file in found["files"]}
    assert urls == {path: f"/v1/models/churn/versions/1/files/{path}" for path in urls}
    for path, url in urls.items():
        file = api.get(url)
        assert (file.status_code, file.text) == (200, f"{path} 1")
        assert api.get(url, headers={"Range": "bytes=0-3"}).text == path[:4]
        assert api.get(url, headers={"If-None-Match": file.headers["etag"]}).status_code == 304
        assert api.head(url).headers["content-length"] == str(len(file.content))
    assert "churn-1-model.h5" in api.head(urls["model.h5"]).headers["content-disposition"]
    for path in ("none", "../2/model.h5", "%2e%2e/2/model.h5", ""):
        assert api.get(f"/v1/models/churn/versions/1/files/{path}").status_code == 404


def test_two_versions_are_compared(churn: Served, api: httpx.Client) -> None:
    both = api.get("/v1/models/churn/compare", params={"versions": "production,2"}).json()
    assert (both["versions"], both["metrics"]) == ([1, 2], {"accuracy": [0.81, 0.82]})
    assert both["params"] == {"epochs": [10, 20]}  # the seed is the same
    assert (both["same_data"], both["data"]) == (True, {"table": ["0" * 64] * 2})
    lineage = {"kind": "trainer", "data": {"table": "1" * 64}, "params": {"epochs": 10}}
    train(churn, metrics={"auc": 0.9, "accuracy": None}, checks={}, lineage=lineage)
    three = api.get("/v1/models/churn/compare", params={"versions": "1,2,3"}).json()
    assert three["metrics"] == {"accuracy": [0.81, 0.82, None], "auc": [None, None, 0.9]}
    assert (three["same_data"], three["checks"]) == (False, {"saved_model": [0.0, 0.0, None]})
    assert three["params"] == {"epochs": [10, 20, 10], "seed": [0, 0, None]}


@pytest.mark.parametrize(
    ("versions", "status", "code"),
    [
        ("1", 422, "invalid_request"),
        (",".join(["1"] * 21), 422, "invalid_request"),
        ("1,9", 404, "unknown_model"),
        ("1,x y", 404, "unknown_model"),
        ("", 422, "invalid_request"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    churn: Served, api: httpx.Client, versions: str, status: int, code: str
) -> None:
    answer = api.get("/v1/models/churn/compare", params={"versions": versions})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_alias_is_set_rolled_back_and_removed(churn: Served, api: httpx.Client) -> None:
    answer = put_alias(api, 2)
    assert (answer.status_code, answer.json()["alias"], answer.json()["version"]) == (200, "production", 2)
    back = api.post("/v1/models/churn/aliases/production/rollback")
    assert (back.status_code, back.json()["version"]) == (200, 1)
    assert put_alias(api, 2, "staging").json()["alias"] == "staging"
    refused = api.post("/v1/models/churn/aliases/staging/rollback")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert api.delete("/v1/models/churn/aliases/staging").status_code == 204
    again = api.delete("/v1/models/churn/aliases/staging")
    assert (again.status_code, again.json()["code"]) == (404, "unknown_model")


@pytest.mark.parametrize("body", [{}, {"version": 0}, {"version": "x"}, {"version": 1, "more": 1}, []])
def test_an_alias_needs_a_version(churn: Served, api: httpx.Client, body: Any) -> None:
    answer = api.put("/v1/models/churn/aliases/production", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_an_alias_is_a_word_and_not_a_number(churn: Served, api: httpx.Client) -> None:
    for alias in ("3", "Prod", "a.b", "-a"):
        assert put_alias(api, 1, alias).status_code == 422


@pytest.mark.parametrize("checks", [{}, {"saved_model": 1e-3}, {"model.onnx": 0.0}])
def test_a_version_whose_forms_differ_gets_no_alias(churn: Served, api: httpx.Client, checks: dict[str, float]) -> None:
    version = train(churn, checks=checks)
    answer = put_alias(api, version)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["field"]) == (409, "not_servable", "version")
    assert "SavedModel" in problem["detail"]
    assert api.get("/v1/models/churn").json()["aliases"][0]["version"] == 1


def test_a_detector_needs_no_saved_model(gateway: Served, api: httpx.Client) -> None:
    train(gateway, "cells", family="yolo", checks={})
    assert put_alias(api, 1, name="cells").status_code == 200


def test_a_version_is_deleted_with_its_files(churn: Served, api: httpx.Client) -> None:
    refused = api.delete("/v1/models/churn/versions/1")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert api.delete("/v1/models/churn/versions/2").status_code == 204
    assert keys(churn) == ["models/churn/1/model.h5", "models/churn/1/saved_model/saved_model.pb"]
    assert api.delete("/v1/models/churn/versions/2").status_code == 404
    assert api.get("/v1/models/churn/versions/2/files/model.h5").status_code == 404
    assert train(churn) == 3


def test_a_model_is_deleted_whole(churn: Served, api: httpx.Client) -> None:
    assert api.delete("/v1/models/churn").status_code == 204
    assert keys(churn) == []
    assert api.get("/v1/models/churn").status_code == 404
    assert api.delete("/v1/models/churn").status_code == 404
    assert api.delete("/v1/models/yolo11n").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "none"),
        ("DELETE", "none"),
        ("GET", "none/compare?versions=1,2"),
        ("GET", "none/versions/1"),
        ("DELETE", "none/versions/1"),
        ("GET", "none/versions/1/files/model.h5"),
        ("POST", "none/aliases/production/rollback"),
        ("DELETE", "none/aliases/production"),
        ("GET", "NONE/versions/1"),
        ("GET", "none/versions/0"),
    ],
)
def test_a_model_that_is_not_there(shared_api: httpx.Client, method: str, path: str) -> None:
    answer = shared_api.request(method, f"/v1/models/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert answer.headers["content-type"] == "application/problem+json"


def test_roles_and_projects(serve: Serve) -> None:
    with serve() as gateway:
        train(gateway)
        clients = {role: gateway.client(gateway.key(role)) for role in ("read", "submit")}
        stranger = gateway.client(gateway.key("admin", "other"))
        changes: list[Callable[[httpx.Client], httpx.Response]] = [
            lambda client: put_alias(client, 1),
            lambda client: client.post("/v1/models/churn/aliases/production/rollback"),
            lambda client: client.delete("/v1/models/churn/aliases/production"),
            lambda client: client.delete("/v1/models/churn/versions/1"),
            lambda client: client.delete("/v1/models/churn"),
        ]
        with clients["read"] as reader, clients["submit"] as submitter, stranger:
            for path in ("", "/versions/1", "/versions/1/files/model.h5", "/compare?versions=1,1"):
                assert reader.get(f"/v1/models/churn{path}").status_code == 200
                assert stranger.get(f"/v1/models/churn{path}").status_code == 404
            for change in changes:
                assert change(reader).status_code == 403
                assert change(stranger).status_code == 404
            assert {item["source"] for item in stranger.get("/v1/models").json()["items"]} == {"built_in"}
            assert put_alias(submitter, 1).status_code == 200
            assert submitter.delete("/v1/models/churn").status_code == 204
            train(gateway, project="other")
            assert keys(gateway)[0].startswith("models/other.churn/1/")
            assert reader.get("/v1/models/churn").status_code == 404


# Names in requests --------------------------------------------------------------------------------------


@pytest.fixture
def test_kinds(probe: None) -> Generator[None]:
    """Kinds that register and use models; requests are checked anew with and without them."""

    def forget() -> None:
        for cached in (job_requests.model_of, job_requests.inputs_model_of, job_requests.sample_of):
            cached.cache_clear()
        job_requests._adapter.cache_clear()  # pyright: ignore[reportPrivateUsage] - a test's own business

    forget()
    yield
    forget()


def submit(api: httpx.Client, kind: str, **params: Any) -> httpx.Response:
    return api.post("/v1/jobs", json={"kind": kind, "inputs": {}, "params": params})


def test_a_request_that_names_what_is_not_there_is_refused(test_kinds: None, churn: Served, api: httpx.Client) -> None:
    train(churn, "cells", family="yolo")
    train(churn, "theirs", project="other")
    refused = {
        "churn@9": ("unknown_model", "Model 'churn' has no version 9; there are: 2, 1."),
        "churn@staging": ("unknown_model", "Model 'churn' has no alias 'staging'; there are: production."),
        "theirs": ("unknown_model", "There is no trained model 'theirs'; there are: cells, churn."),
        "cells": ("invalid_request", "of the family yolo; this kind of job takes: tabular"),
        "a b": ("invalid_request", "can be no model's name"),
    }
    for name, (code, says) in refused.items():
        answer = submit(api, "predictor", model=name)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, code)
        assert (problem["errors"][0]["field"], says in problem["detail"]) == ("params.model", True)
    for name in ("churn", "churn@2", "churn@production"):
        assert submit(api, "predictor", model=name).status_code == 202
    assert len(api.get("/v1/jobs", params={"state": "queued"}).json()["items"]) == 3


@pytest.mark.parametrize("name", ["yolo11n", "weights"])
def test_the_names_of_registered_weights_are_taken(test_kinds: None, api: httpx.Client, name: str) -> None:
    answer = submit(api, "trainer", name=name)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "params.name"
    assert submit(api, "trainer", name="my-model").status_code == 202


def test_a_model_that_an_unfinished_job_names_stays(test_kinds: None, churn: Served, api: httpx.Client) -> None:
    job = submit(api, "predictor", model="churn@2").json()["id"]
    for path in ("churn/versions/2", "churn"):
        answer = api.delete(f"/v1/models/{path}")
        assert (answer.status_code, job in answer.json()["detail"]) == (409, True)
    api.post(f"/v1/jobs/{job}/cancel")
    assert api.delete("/v1/models/churn/versions/2").status_code == 204
