"""From a table, pictures or labels to a registered, served model, over HTTP through the whole stack."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from saccade_core.assets import asset
from saccade_core.jobs import Job, JobState
from saccade_models.serving.preprocess import read_preprocess
from saccade_models.tables.encode import TableInput
from servers.asking import artifact_bytes, finished, result_of, submitted
from servers.stack import Stack, StartStack, eventually, keras_python

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

CHURN = "datasets/tabular/Churn_Modelling.csv"
#: A network that says what it answers to the arrays in a file, in a process that knows nothing of Saccade.
_LOADS = """
import json, sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
rows = np.asarray(json.load(open(sys.argv[2])), dtype="float32")
print(json.dumps(np.asarray(model(rows)).ravel().tolist()))
"""


@pytest.fixture(scope="module")
def churn(stack: Stack) -> Job:
    """A first version of ``churn-http``, trained with the defaults."""
    return finished(stack, "train_tabular", {"table": CHURN}, target="Exited", name="churn-http")


@pytest.fixture(scope="module")
def api(stack: Stack) -> Generator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=90) as client:
        yield client


def _rows(count: int) -> list[dict[str, Any]]:
    with asset(CHURN).open(newline="") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]


def _scores(predictions: list[dict[str, Any]]) -> list[float]:
    """How probable it is that each customer leaves."""
    return [next(each["score"] for each in p["top"] if each["label"] == "1") for p in predictions]


def test_churn_is_learnt_better_than_by_the_baselines(stack: Stack, churn: Job, tmp_path: Path) -> None:
    result = result_of(churn)
    assert result["metrics"]["accuracy"] >= 0.86
    assert result["metrics"]["roc_auc"] >= 0.85
    assert result["metrics"]["accuracy"] > result["baseline"]["blind"]["accuracy"]
    assert result["metrics"]["roc_auc"] > result["baseline"]["linear"]["roc_auc"]
    assert result["parts"]["train"] + result["parts"]["valid"] + result["parts"]["test"] == 10_000
    assert result["model"] == {"name": "churn-http", "version": 1}
    names = {artifact.name for artifact in churn.artifacts}
    assert {"model.h5", "history.csv", "curves.png", "confusion.png", "model-card.md"} <= names
    history = list(csv.DictReader(artifact_bytes(stack, churn, "history.csv", tmp_path).decode().splitlines()))
    assert [int(row["epoch"]) for row in history] == list(range(1, result["epochs_run"] + 1))


def test_metrics_come_live_epoch_by_epoch(stack: Stack, churn: Job) -> None:
    events = [event.data for event in stack.client.events(churn.id) if event.type == "metric"]
    losses = [event["step"] for event in events if event["name"] == "loss"]
    assert losses == sorted(losses)
    assert losses[-1] == result_of(churn)["epochs_run"]


def test_the_registry_knows_where_a_version_came_from(api: httpx.Client, churn: Job) -> None:
    version = api.get("/v1/models/churn-http/versions/1").json()
    assert version["lineage"]["job"] == churn.id
    assert version["lineage"]["params"]["target"] == "Exited"
    assert churn.provenance is not None
    assert version["lineage"]["data"] == churn.provenance.input_sha256
    assert version["may_serve"] is True
    assert version["checks"]["saved_model"] <= 1e-5
    assert {"model.h5", "model.keras", "preprocess.json", "saved_model/saved_model.pb"} <= {
        file["path"] for file in version["files"]
    }
    listed = {item["name"]: item for item in api.get("/v1/models", params={"limit": 1000}).json()["items"]}
    assert listed["churn-http"]["source"] == "trained"
    assert listed["yolo11n"]["source"] == "built_in"


def test_a_model_is_served_and_answers_the_same_everywhere(
    stack: Stack, api: httpx.Client, churn: Job, tmp_path: Path
) -> None:
    """The API, a job over a table, and the ``.h5`` in a clean process give the same scores."""
    promoted = api.put("/v1/models/churn-http/aliases/production", json={"version": 1})
    assert promoted.status_code == 200, promoted.text
    rows = _rows(50)
    answer = api.post("/v1/models/churn-http/predict", json={"rows": rows, "top_k": 2})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["model"] == {"name": "churn-http", "version": 1}
    scores = _scores(told["predictions"])
    assert len(scores) == 50

    table = tmp_path / "fifty.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    file_id = stack.client.upload(table).id
    job = stack.client.submit("predict", {"table": file_id}, {"model": "churn-http@production", "top_k": 2})
    by_job = result_of(stack.client.wait(job.id, timeout_s=120))
    assert _scores(by_job["predictions"]) == pytest.approx(scores, abs=1e-5)

    files = {f["path"]: f["url"] for f in api.get("/v1/models/churn-http/versions/1").json()["files"]}
    h5 = tmp_path / "model.h5"
    h5.write_bytes(api.get(files["model.h5"], follow_redirects=True).content)
    preprocess = read_preprocess(api.get(files["preprocess.json"], follow_redirects=True).content)
    encoded = tmp_path / "rows.json"
    assert isinstance(preprocess, TableInput)
    encoded.write_text(json.dumps(preprocess.encode_rows(rows)))
    done = subprocess.run(
        [str(keras_python()), "-c", _LOADS, str(h5), str(encoded)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(scores, abs=1e-5)


def test_a_promotion_under_load_fails_no_request_and_can_be_rolled_back(
    stack: Stack, api: httpx.Client, churn: Job
) -> None:
    assert churn.state is JobState.SUCCEEDED
    second = finished(
        stack, "train_tabular", {"table": CHURN}, target="Exited", name="churn-http", epochs=2, preset="perceptron"
    )
    assert result_of(second)["model"] == {"name": "churn-http", "version": 2}
    api.put("/v1/models/churn-http/aliases/production", json={"version": 1}).raise_for_status()
    body = {"rows": _rows(1)}
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=stack.url, timeout=60) as client:
            while not stop.is_set():
                answer = client.post("/v1/models/churn-http/predict", json=body)
                seen.append((answer.status_code, answer.json().get("model", {}).get("version", 0)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(seen) > 50, what="predictions before the promotion")
        promoted = api.put("/v1/models/churn-http/aliases/production", json={"version": 2})
        assert promoted.status_code == 200, promoted.text
        already = len(seen)
        eventually(lambda: len(seen) > already + 50, what="predictions after the promotion")
        assert api.post("/v1/models/churn-http/aliases/production/rollback").json()["version"] == 1
        already = len(seen)
        eventually(lambda: len(seen) > already + 50, what="predictions after the rollback")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {1, 2}
    assert seen[-1][1] == 1
    compared = api.get("/v1/models/churn-http/compare", params={"versions": "1,2"}).json()
    assert compared["same_data"] is True
    assert compared["params"]["preset"] == ["mlp", "perceptron"]


def test_a_killed_training_goes_on_where_it_was(start_stack: StartStack, tmp_path: Path) -> None:
    """Its worker is killed -9 after a few epochs: the job goes on there, with the curve and the weights of an
    undisturbed run."""
    mine = start_stack(workers="keras=0,keras.train=1")
    params: dict[str, Any] = {"target": "Exited", "epochs": 25, "seed": 7, "batch_size": 4, "patience": None}
    calm = finished(mine, "train_tabular", {"table": CHURN}, name="calm", **params)
    job = submitted(mine, "train_tabular", {"table": CHURN}, name="disturbed", **params)
    epochs = 0
    for event in mine.client.events(job.id):
        if event.type == "metric" and event.data["name"] == "loss":
            epochs = event.data["step"]
            if epochs == 4:
                break
    kept = mine.data_dir / "blobs" / "objects" / "jobs" / job.id / "checkpoints"
    eventually(lambda: any(path.is_file() for path in kept.rglob("*")), what="a checkpoint")
    mine.kill("keras-train-1")
    ended = mine.client.wait(job.id, timeout_s=300)
    assert ended.state is JobState.SUCCEEDED, ended.error
    assert ended.attempts == 2
    steps = [e.data["step"] for e in mine.client.events(job.id) if e.type == "metric" and e.data["name"] == "loss"]
    again = [step for before, step in itertools.pairwise(steps) if step <= before]
    assert all(step > 1 for step in again), f"it began anew: {steps}"
    curves = [_curve(mine, each, tmp_path / each.id) for each in (calm, ended)]
    assert curves[0] == curves[1]
    weights = [artifact_bytes(mine, each, "model.h5", tmp_path / each.id) for each in (calm, ended)]
    assert weights[0] == weights[1]


def _curve(stack: Stack, job: Job, folder: Path) -> list[tuple[str, ...]]:
    rows = csv.DictReader(artifact_bytes(stack, job, "history.csv", folder).decode().splitlines())
    return [tuple(value for name, value in row.items() if name != "seconds") for row in rows]


def test_training_is_cancelled_within_an_epoch(stack: Stack) -> None:
    job = submitted(stack, "train_tabular", {"table": CHURN}, target="Exited", epochs=10_000, batch_size=1)
    eventually(lambda: stack.client.job(job.id).progress.stage.startswith("epoch"), what="the first epoch")
    stack.client.cancel(job.id)
    assert stack.client.wait(job.id, timeout_s=20).state is JobState.CANCELLED
    versions = httpx.get(f"{stack.url}/v1/models", params={"limit": 1000}).json()["items"]
    assert "model" not in {item["name"] for item in versions}


def test_the_networks_have_their_exact_sizes(stack: Stack) -> None:
    for preset, parameters in (
        ("tabular_11_11_11_1", 276),
        ("7_7_1", 64),
        ("cnn_valid", 503_138),
        ("cnn_same", 810_338),
        ("cnn_pool", 57_562),
    ):
        job = stack.client.wait(stack.client.submit("describe_network", {}, {"preset": preset}).id, timeout_s=120)
        result = result_of(job)
        assert result["parameters"] == parameters
        assert sum(layer["parameters"] for layer in result["layers"]) == parameters


def test_a_layer_that_does_not_fit_is_named_with_both_shapes(stack: Stack) -> None:
    layers = [
        {"type": "conv2d", "filters": 4, "kernel_size": [3, 3]},
        {"type": "conv2d", "filters": 4, "kernel_size": [9, 9], "name": "too_wide"},
    ]
    job = stack.client.submit("describe_network", {}, {"input_shape": [8, 8, 1], "layers": layers})
    ended = stack.client.wait(job.id, timeout_s=120)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert "too_wide" in ended.error.message
    assert "6" in ended.error.message and "9" in ended.error.message
