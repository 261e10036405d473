from __future__ import annotations

import csv
import gzip
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from saccade_core.assets import asset, registry
from saccade_core.errors import Cancelled, InvalidParams, UnreadableInput
from saccade_core.kind import InputFile, ModelFiles
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.train_classifier.augment import Augmentation
from saccade_kinds.train_classifier.contract import (
    TrainClassifierAugment,
    TrainClassifierParams,
    TrainClassifierResult,
)
from saccade_kinds.train_classifier.runner import run
from saccade_models.datasets.prepare import prepare
from saccade_models.images import Pixels
from saccade_models.serving.preprocess import load_preprocess
from saccade_models.weights import local_model

SHAPES = ("circle", "square")


def drawn(shape: str, random: np.random.Generator) -> Pixels:
    """A dark circle or square anywhere on a light ground, 20x16, grey."""
    picture = random.integers(170, 256, (16, 20), dtype=np.uint8)
    x, y, r = (int(v) for v in random.integers((7, 7, 4), (14, 10, 6)))
    if shape == "circle":
        cv2.circle(picture, (x, y), r, 40, 2)
    else:
        cv2.rectangle(picture, (x - r, y - r), (x + r, y + r), 40, 2)
    return picture


def shapes_zip(folder: Path, *, broken: int = 0, count: int = 100) -> Path:
    random = np.random.default_rng(4)
    with zipfile.ZipFile(folder / "shapes.zip", "w") as out:
        for shape in SHAPES:
            for n in range(count):
                picture = cv2.imencode(".png", drawn(shape, random))[1].tobytes()
                out.writestr(f"{shape}/{n:03d}.png", picture[:50] if n < broken else picture)
    return folder / "shapes.zip"


def train(files: Path | list[Path], folder: Path, **params: Any) -> tuple[TrainClassifierResult, LocalContext]:
    context = LocalContext(folder / f"run{len(list(folder.glob('run*')))}", weights=local_model)
    given = inputs_of(dataset=files if isinstance(files, list) else [files])
    return run(given, TrainClassifierParams.model_validate(params), context), context


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainClassifierResult, LocalContext]:
    folder = tmp_path_factory.mktemp("shapes")
    return train(shapes_zip(folder, broken=3), folder, epochs=8, batch_size=8)


def test_shapes_are_learnt_and_the_model_is_registered(trained: tuple[TrainClassifierResult, LocalContext]) -> None:
    result, context = trained
    assert result.metrics["accuracy"] >= 0.9
    assert result.metrics["accuracy"] > result.baseline.blind["accuracy"] + 0.3
    assert result.baseline.linear is not None
    assert [c.label for c in result.classes] == result.labels == list(SHAPES)
    assert (result.data.height, result.data.width, result.data.channels) == (16, 20, 1)
    assert result.data.unreadable_count == 6
    assert {bad.name for bad in result.data.unreadable} == {f"{s}/00{n}.png" for s in SHAPES for n in range(3)}
    assert not any(part.given for part in (result.data.valid, result.data.test))
    assert result.data.train.pictures + result.data.valid.pictures + result.data.test.pictures == 200 - 6
    assert np.array(result.confusion).sum() == result.data.test.pictures
    [model] = context.registered
    assert model.family == "classifier"
    assert model.roles["weights"] == "model.h5"
    assert all((model.folder / name).is_file() for name in model.roles.values())
    assert model.checks["saved_model"] < 1e-5
    assert model.facts["labels"] == list(SHAPES)
    assert model.metrics == result.metrics
    names = {"model.h5", "preprocess.json", "history.csv", "curves.png", "confusion.png", "worst.png", "model-card.md"}
    assert {p.name for p in context.artifacts.iterdir()} == names
    with (context.artifacts / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == result.epochs_run == 8
    assert {name for name, _, _ in context.metrics} >= {"loss", "val_loss", "accuracy", "val_accuracy"}


def test_the_h5_and_preprocess_json_are_all_that_a_prediction_needs(
    trained: tuple[TrainClassifierResult, LocalContext], tmp_path: Path
) -> None:
    _, context = trained
    wanted = load_preprocess(context.artifacts / "preprocess.json")
    assert wanted.kind == "pictures"
    model: Any = keras.models.load_model(context.artifacts / "model.h5", compile=False)
    random = np.random.default_rng(99)
    right = 0
    for n in range(20):
        cv2.imwrite(str(tmp_path / "new.png"), drawn(SHAPES[n % 2], random))
        inputs = prepare(InputFile(tmp_path / "new.png", "new.png", "image/png", "inputs.images[0]"), wanted)
        outputs = np.asarray(model(inputs[None]))
        assert outputs.sum() == pytest.approx(1, abs=1e-5)
        right += wanted.labels[int(outputs.argmax())] == SHAPES[n % 2]
    assert right >= 17


def test_an_own_classifier_is_a_base(trained: tuple[TrainClassifierResult, LocalContext], tmp_path: Path) -> None:
    _, first = trained
    [model] = first.registered
    files = {role: model.folder / name for role, name in model.roles.items()}
    data = inputs_of(dataset=[shapes_zip(tmp_path, count=40)])

    def given(name: str) -> ModelFiles:
        return ModelFiles(name, "1", "0" * 64, files, model.facts)

    context = LocalContext(tmp_path / "run", weights=given)
    params = TrainClassifierParams(base="shapes@1", epochs=1, max_failure_rate=0)
    result = run(data, params, context)
    assert result.metrics["accuracy"] >= 0.85  # the new head starts from what the base knows
    assert result.trained_parameters == 2 * 128 + 2
    assert ("shapes@1", "1", "0" * 64) in context.models
    with pytest.raises(InvalidParams, match="leave image_size out"):
        run(data, params.model_copy(update={"image_size": 32}), LocalContext(tmp_path / "other", weights=given))


def test_a_base_may_have_had_a_base_that_had_one(tmp_path: Path) -> None:
    """The own network ends in pictures: its layers already have the names that a head's would get."""
    layers: list[dict[str, Any]] = [
        {"type": "conv2d", "filters": 4, "kernel_size": 3, "name": "head"},
        {"type": "flatten", "name": "features"},
        {"type": "dropout", "rate": 0.1, "name": "head_dropout"},
        {"type": "batch_norm"},
        {"type": "dense", "units": 2, "activation": "softmax"},
    ]
    data = shapes_zip(tmp_path, count=16)
    _, context = train(data, tmp_path, layers=layers, epochs=1)
    for generation in range(3):
        [model] = context.registered
        files = {role: model.folder / name for role, name in model.roles.items()}
        base = ModelFiles("shapes", "1", "0" * 64, files, model.facts)
        context = LocalContext(tmp_path / f"generation{generation}", weights=lambda _name, base=base: base)
        run(inputs_of(dataset=[data]), TrainClassifierParams(base="shapes@1", epochs=1, dropout=0.2), context)
    [model] = context.registered
    last: Any = keras.models.load_model(model.folder / "model.keras", compile=False)
    names = [layer.name for layer in last.layers]
    assert len(names) == len(set(names)) == 7  # inputs, the four that stay, one dropout, one head
    assert names[-2:] == ["head_dropout_2", "head_2"]


def test_one_seed_one_model(tmp_path: Path) -> None:
    data = shapes_zip(tmp_path, count=12)
    weights: list[list[Any]] = []
    for _ in range(2):
        _, context = train(data, tmp_path, epochs=2, seed=1, augment={}, image_size=8)
        model: Any = keras.models.load_model(context.artifacts / "model.h5", compile=False)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert any(np.ptp(values) > 0 for values in weights[0])


def test_mnist_from_idx_files(tmp_path: Path) -> None:
    files: list[Path] = []
    for name, count in (("train", 3000), ("t10k", 500)):
        for what, size in (("images-idx3", 784), ("labels-idx1", 1)):
            data = gzip.decompress(asset(f"datasets/mnist/{name}-{what}-ubyte.gz").read_bytes())
            start = 16 if size > 1 else 8
            header = data[:4] + struct.pack(">I", count) + data[8:start]
            files.append(tmp_path / f"{name}-{what}-ubyte")
            files[-1].write_bytes(header + data[start : start + count * size])
    result, _ = train(files, tmp_path, preset="cnn_pool", epochs=2, validation_split=0.1, batch_size=16)
    assert result.parameters == 57_562
    assert (result.data.form, result.data.test.pictures, result.data.test.given) == ("idx", 500, True)
    assert result.metrics["accuracy"] >= 0.88
    assert result.worst == sorted(result.worst, key=lambda m: -m.score)
    assert all(m.true != m.predicted for m in result.worst)


def test_own_layers_must_end_in_the_classes(tmp_path: Path) -> None:
    data = shapes_zip(tmp_path, count=12)
    flat = {"type": "flatten"}
    with pytest.raises(InvalidParams, match="2 units with softmax") as caught:
        train(data, tmp_path, layers=[flat, {"type": "dense", "units": 3, "activation": "softmax"}])
    assert caught.value.field == "params.layers"
    one = [flat, {"type": "dense", "units": 1, "activation": "sigmoid"}]
    result, context = train(data, tmp_path, layers=one, epochs=1, test_split=0.3)
    assert result.parameters == 16 * 20 + 1
    assert len(result.classes) == 2
    assert context.registered[0].facts["task"] == "binary"


def test_too_many_unreadable_pictures_are_an_error_that_names_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"10 of 40 pictures cannot be read.*'circle/00\d.png'"):
        train(shapes_zip(tmp_path, broken=5, count=20), tmp_path)


def test_cancelling_ends_the_training(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=50)
    with pytest.raises(Cancelled):
        run(inputs_of(dataset=[shapes_zip(tmp_path, count=20)]), TrainClassifierParams(epochs=1000), context)
    assert not context.registered


@pytest.mark.stack
def test_cats_and_dogs_from_200_photos(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as out:
        for path in registry():
            if path.startswith("datasets/cats_vs_dogs/"):
                out.write(asset(path), path)
    result, context = train(tmp_path / "pets.zip", tmp_path, base="ssd_mobilenet", epochs=5)
    assert [result.data.train.pictures, result.data.valid.pictures, result.data.test.pictures] == [160, 40, 60]
    assert result.metrics["accuracy"] >= 0.88
    assert {name for name, _, _ in context.models} == {"ssd_mobilenet", "keras"}
    saved = json.loads((context.artifacts / "preprocess.json").read_text())
    assert (saved["height"], saved["channels"], saved["mean"]) == (160, 3, 1.0)


def test_augmentation_changes_what_is_trained_on_and_nothing_else() -> None:
    wanted = TrainClassifierAugment(contrast=0.3)
    layer = Augmentation(wanted, (-1.0, 1.0), seed=1)
    assert not layer.variables  # nothing that sets TensorFlow going before its threads are set
    pictures = np.tile(np.linspace(-1, 1, 16, dtype=np.float32)[None, None, :, None], (4, 16, 1, 3))
    changed = np.asarray(layer(pictures, training=True))
    assert changed.shape == pictures.shape
    assert all(np.abs(changed[n] - pictures[n]).max() > 0.05 for n in range(4))
    assert not np.array_equal(changed[0], changed[1])
    assert np.abs(changed).max() <= 1
    assert np.array_equal(np.asarray(layer(pictures, training=False)), pictures)
    nothing = TrainClassifierAugment(flip="none", shift=0, rotate=0, zoom=0, contrast=0)
    assert np.array_equal(np.asarray(Augmentation(nothing, (-1.0, 1.0), seed=1)(pictures, training=True)), pictures)
