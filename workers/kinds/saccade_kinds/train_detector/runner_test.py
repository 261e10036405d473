"""Trainings on drawn shapes: what comes out, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession  # pyright: ignore[reportPrivateImportUsage] - it lists no exports
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InputError, InputTooLarge, InvalidParams, UnreadableInput, UntrustedModel
from saccade_core.kind import ModelFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds import registry
from saccade_kinds.train_detector.contract import KIND, TrainDetectorParams, TrainDetectorResult
from saccade_kinds.train_detector.runner import run
from saccade_models.datasets.yolo_testing import shape_files, write_zip
from saccade_models.detectors import Thresholds, load
from saccade_models.detectors.yolo_torch import YoloTorch, load_network
from saccade_models.weights import local_model
from servers.detecting import bring

SAMPLE = Path(__file__).parent / "sample" / "shapes.zip"
SMALL: dict[str, Any] = {"image_size": 64, "batch_size": 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Sums of floats come out the same for one number of threads."""
    torch.set_num_threads(1)


class Stopped(LocalContext):
    """A context that cancels at the n-th time that an epoch is told."""

    stop_at: tuple[str, int] = ("", 0)

    def progress(self, done: float, total: float, stage: str) -> None:
        super().progress(done, total, stage)
        if [told for _, _, told in self.reported].count(self.stop_at[0]) >= self.stop_at[1] > 0:
            raise Cancelled("The job was cancelled.")


def stopped(folder: Path, stage: str, times: int, dataset: Path = SAMPLE, **params: Any) -> LocalContext:
    """What is left of a run that was cancelled there."""
    context = Stopped(folder, weights=local_model)
    context.stop_at = (stage, times)
    with pytest.raises(Cancelled):
        run(inputs_of(dataset=dataset), TrainDetectorParams.model_validate({**SMALL, **params}), context)
    return context


def train(
    folder: Path, dataset: Path = SAMPLE, weights: Callable[[str], ModelFiles] = local_model, **params: Any
) -> tuple[TrainDetectorResult, LocalContext]:
    context = LocalContext(folder, weights=weights)
    return run(inputs_of(dataset=dataset), TrainDetectorParams.model_validate({**SMALL, **params}), context), context


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def registered(context: LocalContext) -> ModelFiles:
    """The model that a run registered, as a worker would bring it."""
    (model,) = context.registered
    files = {role: model.folder / path for role, path in model.roles.items()}
    assert {path.name for path in model.folder.iterdir()} == set(model.roles.values())
    return ModelFiles(context.registers.name, "1", sha256(files["weights"]), files, model.facts)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainDetectorResult, LocalContext]:
    """The kind's sample, which starts from chance; it asks no server's address."""

    def look_up(*args: Any, **_: Any) -> Any:
        raise AssertionError(args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        return train(tmp_path_factory.mktemp("scratch"), **registry.sample("train_detector").params)


def test_the_sample_gives_all_that_is_promised(scratch: tuple[TrainDetectorResult, LocalContext]) -> None:
    result, context = scratch
    assert (result.measured_on, result.epochs_run, result.stopped_by) == ("test", 2, "epochs")
    assert [(c.label, c.boxes) for c in result.classes] == [
        (k, v) for k, v in result.data.parts["test"].by_class.items()
    ]
    assert {part: found.pictures for part, found in result.data.parts.items()} == {"train": 8, "valid": 4, "test": 4}
    assert result.map50 < 0.2 and result.model == context.registers
    assert {path.name for path in context.artifacts.iterdir()} == {artifact.name for artifact in KIND.artifacts}
    for name in ("curves.png", "confusion.png", "samples.png"):
        picture = cv2.imread(str(context.artifacts / name))
        assert picture is not None and min(picture.shape[:2]) > 200 and picture.std() > 5
    with (context.artifacts / "history.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    told = {(name, step): value for name, value, step in context.metrics}
    assert told["map50", 2] == float(rows[1]["map50"]) and told["train_box_loss", 1] == float(rows[0]["train_box_loss"])
    shares = [done / total for done, total, _ in context.reported]
    assert shares == sorted(shares) and shares[-1] == 1
    assert [stage for _, _, stage in context.reported].count("epoch 2 of 2") == 2, "one for each batch"
    assert context.saved == ["last.pt"] * 2 and [name for name, _, _ in context.models] == ["ultralytics"]


def test_the_registered_model_is_small_safe_and_the_same_in_all_forms(
    scratch: tuple[TrainDetectorResult, LocalContext],
) -> None:
    result, context = scratch
    model = registered(context)
    assert model.facts["labels"] == ["circle", "square"] and model.facts["input_size"] == 96
    assert context.registered[0].checks == {"best.onnx": result.onnx_difference} and result.onnx_difference < 1e-4
    assert context.registered[0].metrics["map50"] == result.map50
    network = load_network(model.path)
    assert network.names == {0: "circle", 1: "square"}
    assert str(context.root).encode() not in model.path.read_bytes() and model.path.stat().st_size < 7e6
    session = InferenceSession(str(model.files["onnx"]), providers=["CPUExecutionProvider"])
    given = np.random.default_rng(0).random((1, 3, 64, 160), dtype=np.float32)  # not the side it was trained with
    (found,) = session.run(None, {"images": given})
    with torch.inference_mode():
        assert np.allclose(network(torch.from_numpy(given))[0], np.asarray(found), atol=1e-2)


def test_a_label_file_with_a_wrong_line_ends_the_job(tmp_path: Path) -> None:
    wrong = write_zip(
        tmp_path / "a.zip", {**shape_files(8), "train/labels/shape00.txt": "0 0.5 0.5 0.1 0.1\n9 0 0 1 1\n"}
    )
    with pytest.raises(
        InputError, match=r"'train/labels/shape00.txt' line 2: class 9 is none of the 2 classes"
    ) as caught:
        train(tmp_path / "a", wrong, pretrained=False)
    assert caught.value.field == "dataset"


class _Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["pickle", "checkpoint", "text", "other network"])
def test_a_base_that_is_no_checkpoint_is_refused_and_not_executed(tmp_path: Path, form: str) -> None:
    mark, weights = tmp_path / "executed", tmp_path / "best.pt"
    if form == "pickle":
        weights.write_bytes(pickle.dumps({"model": _Trap(mark)}, protocol=2))
    elif form == "checkpoint":
        torch.save({"model": _Trap(mark), "train_args": {}}, weights)
    elif form == "other network":
        torch.save({"model": torch.nn.Linear(2, 2), "train_args": {}}, weights)
    else:
        weights.write_text("no network")
    own = ModelFiles("mine", "1", "0" * 64, {"weights": weights}, {"family": "yolo", "labels": ["a"], "input_size": 96})
    with pytest.raises(UntrustedModel, match=r"best\.pt is not loaded: it is no checkpoint of a YOLO detector"):
        train(tmp_path / "run", weights=lambda _: own, base="mine@1")
    with pytest.raises(UntrustedModel):
        YoloTorch(own, "cpu")
    assert not mark.exists()
    if form in {"pickle", "checkpoint"}:
        with suppress(RuntimeError):
            torch.load(weights, weights_only=False)
        assert mark.exists(), "the trap works"


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="leads out of its folder"):
        train(tmp_path / "a", write_zip(tmp_path / "a.zip", {**shape_files(8), "../../evil.txt": "x"}))
    bomb = write_zip(tmp_path / "b.zip", {**shape_files(8), "train/images/bomb.png": bytes(100 << 20)})
    with pytest.raises(InputTooLarge, match="200 times its size"):
        train(tmp_path / "b", bomb)
    with pytest.raises(UnreadableInput, match="no zip archive"):
        train(tmp_path / "c", Path(__file__))


def test_cancelling_ends_within_an_epoch(tmp_path: Path) -> None:
    left = stopped(tmp_path, "epoch 1 of 50", 2, pretrained=False, epochs=50, batch_size=2)
    assert left.reported[-1][2] == "epoch 1 of 50" and left.saved == left.registered == []
    assert list(left.artifacts.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"base": "yunet"}, "cannot be trained; those that can are: yolo11n, yolov8n"),
        ({"base": "yolo11n@9"}, "has no version '9'"),
        ({"base": "../x"}, "can be no model's name; registered are: yolo11n"),
        ({"image_size": 100}, "multiple of 32"),
        ({"learning_rate": 0.1}, "name an optimizer"),
        ({"validation_split": 0}, "above 0"),
        ({"name": "No Name"}, "match pattern"),
        ({"lr": 0.1}, "not permitted"),
    ],
)
def test_params_are_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainDetectorParams.model_validate(wrong)


def test_which_models_a_job_needs() -> None:
    def needed(**params: Any) -> list[str]:
        return list(KIND.models(TrainDetectorParams.model_validate(params)))

    assert needed() == ["yolo11n"] and needed(base="cells@production") == ["cells@production"]
    assert needed(pretrained=False) == [] and needed(base="yolov8n", pretrained=False) == []
    assert needed(base="cells", pretrained=False) == ["cells"], "its architecture is in the file"
    assert KIND.registers(TrainDetectorParams(name="cells")) == "cells"


@pytest.mark.stack
def test_a_killed_training_is_taken_up_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """Ended at the first batch of the second epoch, whose pictures are put together, and of one of the last ten."""
    bring("yolo11n")
    params: dict[str, Any] = {"epochs": 12, "batch_size": 3, "seed": 3}
    whole, first = train(tmp_path / "whole", **params)
    for epoch in (2, 7):
        left = stopped(tmp_path / "killed", f"epoch {epoch} of 12", 1, **params)
        left.scratch.rename(tmp_path / f"left{epoch}")
    again, second = train(tmp_path / "killed", **params)
    assert second.metrics[0][2] == 7, "it did not begin again"
    assert sha256(second.artifacts / "best.pt") == sha256(first.artifacts / "best.pt")
    assert [m for m in first.metrics if m[2] > 10] == [m for m in second.metrics if m[2] > 10]
    assert again.model_dump() == whole.model_dump()

    (tmp_path / "killed" / "scratch").rename(tmp_path / "left")
    over, third = train(tmp_path / "killed", **params)  # killed between the last epoch and the end
    assert third.metrics == first.metrics[:0] and over.model_dump() == whole.model_dump()


@pytest.mark.stack
def test_training_that_is_ended_early(tmp_path: Path) -> None:
    bring("yolo11n")
    budget, _ = train(tmp_path / "budget", epochs=500, time_budget_s=2)
    assert budget.stopped_by == "time_budget" and budget.epochs_run < 60
    patient, _ = train(tmp_path / "patience", epochs=60, patience=2)
    assert patient.stopped_by == "patience" and patient.epochs_run == patient.best_epoch + 2 < 60


@pytest.mark.stack
def test_a_detector_learns_shapes_finds_them_and_can_be_learnt_on(tmp_path: Path) -> None:
    bring("yolo11n")
    data = write_zip(tmp_path / "shapes.zip", shape_files(48))
    result, context = train(tmp_path / "first", data, image_size=96, epochs=12, optimizer="adamw", learning_rate=0.003)
    assert result.map50 > 0.8
    model = registered(context)
    with zipfile.ZipFile(data) as archive:
        pixels = cv2.imdecode(np.frombuffer(archive.read("test/images/shape03.png"), np.uint8), cv2.IMREAD_COLOR)
        truth = sorted(int(line[0]) for line in archive.read("test/labels/shape03.txt").decode().splitlines())
    for detector in (load(model, "cpu"), YoloTorch(model, "cpu")):  # the exported form, and the checkpoint
        (found,) = detector.detect([np.asarray(pixels, dtype=np.uint8)], Thresholds(0.3))
        assert sorted(found.class_ids.tolist()) == truth
    more, _ = train(tmp_path / "more", data, lambda _: model, base="model@1", epochs=1)
    plain, _ = train(tmp_path / "plain", data, lambda _: model, base="model@1", epochs=1, pretrained=False)
    assert more.map50 > 0.6 and plain.map50 < 0.2


@pytest.mark.stack
def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    bring("yolo11n")
    network = load_network(local_model("yolo11n").path)
    next(iter(network.parameters())).data.fill_(float("nan"))
    torch.save({"model": network, "train_args": {}}, tmp_path / "nan.pt")
    files = ModelFiles("mine", "1", "0" * 64, {"weights": tmp_path / "nan.pt"}, {"family": "yolo"})
    with pytest.raises(InvalidParams, match=r"no number any more in epoch 1: it diverged\. A smaller"):
        train(tmp_path / "run", weights=lambda _: files, base="mine")
