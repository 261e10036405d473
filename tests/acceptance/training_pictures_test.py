"""Pictures and labels to trained models, searches over trainings, and what is refused, over HTTP."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from saccade_core.assets import asset, registry
from saccade_core.jobs import Job, JobState
from servers.asking import finished, result_of, submitted
from servers.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

MNIST = [
    f"datasets/mnist/{name}-ubyte.gz"
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
]


def _zip_of(folder: str, target: Path, keep: int | None = None) -> Path:
    """The assets below ``folder`` as one zip; of the pictures of each of its folders the first ``keep``."""
    names = sorted(name for name in registry() if name.startswith(f"{folder}/"))
    kept: dict[str, int] = {}
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            parent = name.rpartition("/")[0]
            kept[parent] = kept.get(parent, 0) + 1
            if keep is None or kept[parent] <= keep or name.endswith(".yaml"):
                archive.write(asset(name), name.removeprefix(f"{folder}/"))
    return target


def test_digits_are_learnt_in_an_epoch(stack: Stack) -> None:
    job = finished(stack, "train_classifier", {"dataset": list(MNIST)}, preset="cnn_pool", epochs=1, name="digits-http")
    result = result_of(job)
    assert result["parameters"] == 57_562
    assert result["metrics"]["accuracy"] >= 0.95
    assert len(result["classes"]) == 10
    assert {"model.h5", "confusion.png", "curves.png", "worst.png"} <= {artifact.name for artifact in job.artifacts}


def test_a_registered_backbone_tells_cats_from_dogs(stack: Stack, tmp_path: Path) -> None:
    """100 and 100 photos are too few for a network of one's own; one that has seen COCO needs no more."""
    zipped = _zip_of("datasets/cats_vs_dogs", tmp_path / "pets.zip")
    job = finished(stack, "train_classifier", {"dataset": zipped}, base="ssd_mobilenet", epochs=6, name="pets-http")
    assert result_of(job)["metrics"]["accuracy"] >= 0.85
    photo = stack.client.upload(
        asset(next(n for n in sorted(registry()) if n.startswith("datasets/cats_vs_dogs/test/cats")))
    ).id
    asked = stack.client.submit("predict", {"images": [photo]}, {"model": "pets-http", "top_k": 2})
    ended = stack.client.wait(asked.id, timeout_s=180)
    assert ended.state is JobState.SUCCEEDED, ended.error
    [prediction] = result_of(ended)["predictions"]
    assert prediction["label"] == "cats"


def test_a_trained_detector_is_used_by_its_name(stack: Stack, tmp_path: Path) -> None:
    """A short training; the figure that is asked for is measured in benchmarks/."""
    zipped = _zip_of("datasets/bccd_yolo", tmp_path / "cells.zip", keep=16)
    job = finished(
        stack, "train_detector", {"dataset": zipped}, epochs=2, image_size=160, batch_size=4, name="cells-http"
    )
    result = result_of(job)
    assert result["model"] == {"name": "cells-http", "version": 1}
    assert {c["label"] for c in result["classes"]} == {"RBC", "WBC", "Platelets"}
    assert result["onnx_difference"] < 1e-3
    photo = next(name for name in sorted(registry()) if name.startswith("datasets/bccd_yolo/test/images/"))
    found = finished(stack, "detect_objects", {"media": photo}, model="cells-http@1", min_score=0.01)
    assert set(result_of(found)["counts"]) <= {"RBC", "WBC", "Platelets"}
    assert result_of(found)["objects"]
    assert found.provenance is not None
    assert [(m.name, m.version) for m in found.provenance.models] == [("cells-http", "1")]


def test_a_search_registers_its_best_trial(stack: Stack, tmp_path: Path) -> None:
    lines = asset("datasets/tabular/Churn_Modelling.csv").read_text().splitlines()[:801]
    table = tmp_path / "churn.csv"
    table.write_text("\n".join(lines))
    job = finished(
        stack,
        "search_hyperparameters",
        {"table": table},
        training="train_tabular",
        fixed={"target": "Exited", "epochs": 3},
        space={"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "hidden_layers": {"choices": [[], [16]]}},
        trials=4,
        parallel=2,
        name="searched-http",
    )
    result = result_of(job)
    assert (len(result["trials"]), result["rounds"], result["failed"]) == (4, 2, 0)
    values = [trial["value"] for trial in result["trials"]]
    assert result["best"]["value"] == max(values)
    assert result["model"] == {"name": "searched-http", "version": 1}
    assert {"trials.csv", "search.png", "model.h5"} <= {artifact.name for artifact in job.artifacts}


class _Opens:
    """Pickled, it would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self._path), "w"))


def _refused(stack: Stack, job: Job) -> tuple[str, str]:
    ended = stack.client.wait(job.id, timeout_s=180)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert not ended.error.retryable
    assert ended.attempts == 1
    return ended.error.code, ended.error.message


def test_a_pickle_is_never_loaded(stack: Stack, tmp_path: Path) -> None:
    trap = tmp_path / "opened"
    bad = tmp_path / "model.pt"
    bad.write_bytes(pickle.dumps(_Opens(trap)))
    code, message = _refused(stack, submitted(stack, "register_model", {"model": bad}, name="bad-pt"))
    assert code == "untrusted_model"
    assert "pickle" in message
    assert not trap.exists()


def test_a_network_with_code_in_it_is_refused(stack: Stack, tmp_path: Path) -> None:
    """A ``.keras`` whose Lambda layer would make a file."""
    trap = tmp_path / "ran"
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": "InputLayer",
                    "config": {"batch_shape": [None, 2], "name": "i"},
                },
                {
                    "module": "keras.layers",
                    "class_name": "Lambda",
                    "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": str(trap)}}},
                },
            ],
        },
    }
    bad = tmp_path / "model.keras"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    code, message = _refused(stack, submitted(stack, "register_model", {"model": bad}, name="bad-keras"))
    assert code == "untrusted_model"
    assert "Lambda" in message
    assert not trap.exists()


def test_hostile_archives_are_refused(stack: Stack, tmp_path: Path) -> None:
    leaves = tmp_path / "leaves.zip"
    with zipfile.ZipFile(leaves, "w") as archive:
        archive.writestr("train/a/../../../../escaped.png", b"x")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a/1.png", b"\0" * (200 << 20))
    for kind in ("train_classifier", "train_detector"):
        code, message = _refused(stack, submitted(stack, kind, {"dataset": leaves}))
        assert code in {"unreadable_input", "invalid_input"}, message
        code, message = _refused(stack, submitted(stack, kind, {"dataset": bomb}))
        assert code == "input_too_large", message


def test_a_header_that_lies_costs_nothing(stack: Stack, tmp_path: Path) -> None:
    """Pictures by the hundred million in a file of a few bytes."""
    array = io.BytesIO()
    np.save(array, np.zeros((2, 8, 8), "uint8"))
    lying = array.getvalue().replace(b"(2, 8, 8)", b"(100000000, 8, 8)", 1)
    bad = tmp_path / "lies.npz"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("x_train.npy", lying)
        labels = io.BytesIO()
        np.save(labels, np.zeros(2, "int64"))
        archive.writestr("y_train.npy", labels.getvalue())
    code, message = _refused(stack, submitted(stack, "train_classifier", {"dataset": [bad]}))
    assert code in {"unreadable_input", "input_too_large"}, message


def test_names_of_registered_weights_are_taken(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url, timeout=30) as api:
        file_id = stack.client.upload(asset("datasets/tabular/Admission_Predict.csv")).id
        params = {"target": "Chance of Admit", "name": "yolo11n"}
        answer = api.post("/v1/jobs", json={"kind": "train_tabular", "inputs": {"table": file_id}, "params": params})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "params.name"
        unknown = {"media": stack.client.upload(asset("images/objects/000000475732.jpg")).id}
        body = {"kind": "detect_objects", "inputs": unknown, "params": {"model": "nobodys"}}
        refused = api.post("/v1/jobs", json=body)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "params.model"
