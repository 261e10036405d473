"""What trained models reach on the registered data sets, and how long training takes beside a script by hand."""

from __future__ import annotations

import json
import subprocess
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.report import table
from saccade_core.assets import asset, registry
from saccade_core.jobs import Job, JobState
from servers.asking import Given, result_of, submitted
from servers.stack import Stack, keras_python

_ROUNDS = 2
_EPOCHS = 3
_LIMIT_S = 3600.0
_TABLES = {
    "bank churn": ("Churn_Modelling.csv", "Exited", ("accuracy", "roc_auc")),
    "graduate admission": ("Admission_Predict.csv", "Chance of Admit", ("r2", "mae")),
    "mobile price (4 classes)": ("mobile_price_train.csv", "price_range", ("accuracy",)),
}


def section(_: Stack) -> str:
    """What trained models reach; on a stack of its own, which has workers that train."""
    with closing(Stack(workers="cpu=1,keras=0,keras.train=1,torch=0,torch.train=1")) as stack:
        stack.start()
        return _figures(stack)


def section_of_time(_: Stack) -> str:
    """The time of ``fit`` beside a script by hand."""
    with closing(Stack(workers="cpu=1,keras=0,keras.train=1")) as stack:
        stack.start()
        return _beside_a_script(stack)


def _figures(stack: Stack) -> str:
    rows: list[list[str]] = []
    for name, (file, target, metrics) in _TABLES.items():
        job = _trained(stack, "train_tabular", {"table": f"datasets/tabular/{file}"}, target=target)
        linear = result_of(job)["baseline"]["linear"]
        told = "; ".join(f"{m} {result_of(job)['metrics'][m]:.3f} (linear model {linear[m]:.3f})" for m in metrics)
        rows.append([f"`train_tabular`, {name}, defaults", told, _seconds(job)])
    with tempfile.TemporaryDirectory() as folder:
        for name, inputs, params in _pictures(Path(folder)):
            job = _trained(stack, "train_classifier", {"dataset": inputs}, **params)
            rows.append(
                [f"`train_classifier`, {name}", f"accuracy {result_of(job)['metrics']['accuracy']:.4f}", _seconds(job)]
            )
        cells = _zip_of("datasets/bccd_yolo", Path(folder) / "cells.zip")
        for name, pretrained in (("from yolo11n", True), ("from chance", False)):
            params = {"pretrained": pretrained, "epochs": 6, "image_size": 320}
            job = _trained(stack, "train_detector", {"dataset": cells}, **params)
            told = f"mAP50 {result_of(job)['map50']:.3f}, mAP50-95 {result_of(job)['map50_95']:.3f}"
            rows.append([f"`train_detector`, blood cells, 6 epochs, 320 px, {name}", told, _seconds(job)])
    return table("What trained models reach on data that they did not see", ["training", "figures", "whole job"], rows)


def _pictures(folder: Path) -> list[tuple[str, list[str | Path], dict[str, Any]]]:
    pets: list[str | Path] = [_zip_of("datasets/cats_vs_dogs", folder / "pets.zip")]
    fashion = {"epochs": 4, "validation_split": 0.1, "batch_size": 64}
    return [
        ("MNIST, cnn_pool, 3 epochs", [*_idx("mnist")], {"preset": "cnn_pool", "epochs": 3, "validation_split": 0.1}),
        ("Fashion-MNIST, preset cnn, 4 epochs", [*_idx("fashion-mnist")], fashion),
        ("200 photos of cats and dogs, preset cnn, 10 epochs", pets, {"epochs": 10}),
        ("the same, augmented", pets, {"epochs": 10, "augment": {}}),
        ("the same, from ssd_mobilenet, its weights kept", pets, {"epochs": 10, "base": "ssd_mobilenet"}),
        ("the same, fine-tuned", pets, {"epochs": 8, "base": "ssd_mobilenet", "fine_tune": True}),
    ]


def _beside_a_script(stack: Stack) -> str:
    """Digits by the same network: ``fit`` of a Keras script, and of the job; each in turn."""
    images, labels, *_ = (str(asset(name)) for name in _idx("mnist"))
    script = Path(__file__).with_name("bare_training.py")
    command = [str(keras_python()), str(script), images, labels, str(_EPOCHS)]
    by_hand: list[float] = []
    ours: list[float] = []
    for _ in range(_ROUNDS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        by_hand.append(json.loads(done.stdout.splitlines()[-1])["fit_s"])
        params = {"preset": "cnn_pool", "epochs": _EPOCHS, "validation_split": 0.1}
        job = _trained(stack, "train_classifier", {"dataset": [*_idx("mnist")]}, **params)
        ours.append(result_of(job)["train_seconds"])
    hand, saccade = sum(by_hand) / _ROUNDS, sum(ours) / _ROUNDS
    rows = [
        ["a Keras script by hand", f"{hand:.1f}", "1.00"],
        ["`train_classifier`, without reading, baselines, forms and report", f"{saccade:.1f}", f"{saccade / hand:.2f}"],
    ]
    title = f"Training: MNIST, 57,562 weights, {_EPOCHS} epochs of 54,000 pictures, batches of 32"
    return table(title, ["way", "seconds of fit", "times the script"], rows)


def _trained(stack: Stack, kind: str, inputs: dict[str, Given], **params: Any) -> Job:
    job = stack.client.wait(submitted(stack, kind, inputs, **params).id, timeout_s=_LIMIT_S)
    assert job.state is JobState.SUCCEEDED, job.error
    return job


def _idx(name: str) -> list[str]:
    files = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return [f"datasets/{name}/{file}-ubyte.gz" for file in files]


def _zip_of(folder: str, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(name for name in registry() if name.startswith(f"{folder}/")):
            archive.write(asset(name), name.removeprefix(f"{folder}/"))
    return target


def _seconds(job: Job) -> str:
    return f"{job.run_s:.0f} s" if job.run_s is not None else ""
