"""Runs ``train_detector``."""

from __future__ import annotations

import shutil
from functools import partial
from importlib.metadata import version
from typing import Literal

from saccade_core.kind import Context, Inputs, ModelFiles
from saccade_core.trained import TrainedModel
from saccade_kinds.train_detector.contract import TrainDetectorParams, TrainDetectorResult
from saccade_kinds.train_detector.pictures import draw_curves, draw_samples, read_picture, write_history
from saccade_kinds.train_detector.report import classes, described
from saccade_models.datasets.yolo import YoloDataset, read_yolo_dataset
from saccade_models.datasets.yolo_cut import Split
from saccade_models.detectors.yolo_torch import YoloTorch
from saccade_models.detectors.yolo_trained import (
    CONFUSION_IOU,
    CONFUSION_SCORE,
    Figures,
    measure,
    onnx_difference,
)
from saccade_models.detectors.yolo_training import Trained, TrainingPlan, Watch, train
from saccade_models.evaluation.draw_confusion import draw_confusion
from saccade_models.export import to_onnx
from saccade_models.no_internet import without_internet

_CHECKPOINT = "last.pt"
#: Share of the progress that training has; reading the data set is before it, measuring and writing after.
_READ, _TRAINED, _MEASURED, _EXPORTED = 0.03, 0.93, 0.96, 0.99
#: Keys of parts in ultralytics' data.yaml.
_KEYS = {"train": "train", "valid": "val", "test": "test"}


def run(inputs: Inputs, params: TrainDetectorParams, context: Context) -> TrainDetectorResult:
    """The whole job, or what an earlier attempt left of it.

    Nothing in it reaches the internet. Raises InputError naming what is wrong in the data set, UntrustedModel for a
    base that is no checkpoint, InvalidParams where the loss diverges.
    """
    return without_internet(lambda: _Run(inputs, params, context).result())


class _Run:
    """One job."""

    def __init__(self, inputs: Inputs, params: TrainDetectorParams, context: Context) -> None:
        self._inputs, self._params, self._context = inputs, params, context
        self._folder = context.scratch / "model"
        self._best = self._folder / "best.pt"

    def result(self) -> TrainDetectorResult:
        context, params = self._context, self._params
        context.uses_model("ultralytics", version("ultralytics"))
        data = self._read()
        trained = self._train(data)
        self._folder.mkdir()
        self._best.write_bytes(trained.best)
        part: Literal["test", "valid"] = "test" if "test" in data.parts else "valid"
        figures = self._measure(data, part)
        context.progress(_MEASURED, 1, "writing ONNX")
        onnx = to_onnx(self._best, params.image_size)
        context.progress(_EXPORTED, 1, "comparing")
        difference = onnx_difference(self._best, onnx, read_picture(data.parts[part][0]), params.image_size)
        self._write(data, part, trained, figures)
        self._register(data, part, figures, difference)
        context.progress(1, 1, "done")
        return TrainDetectorResult(
            map50=figures.map50,
            map50_95=figures.map50_95,
            precision=figures.precision,
            recall=figures.recall,
            measured_on=part,
            classes=classes(data, figures),
            model=context.registers,
            epochs_run=len(trained.history),
            best_epoch=trained.best_epoch,
            stopped_by=trained.stopped_by,
            onnx_difference=difference,
            data=described(data),
        )

    def _read(self) -> YoloDataset:
        def step(done: int, total: int) -> None:
            self._context.progress(_READ * done / max(1, total), 1, "reading the data set")

        split = Split(self._params.validation_split, self._params.test_split, self._params.seed)
        folder = self._context.scratch / "data"
        folder.mkdir()
        data = read_yolo_dataset(self._inputs.one("dataset"), folder, split, step)
        for note in data.notes:
            self._context.log(note)
        return data

    def _train(self, data: YoloDataset) -> Trained:
        params, context = self._params, self._context
        architecture = params.architecture
        start = f"{architecture}.yaml" if architecture else context.model(params.base).path
        plan = TrainingPlan(
            start=start,
            data=data.yaml,
            folder=context.scratch / "training",
            device=context.device,
            image_size=params.image_size,
            epochs=params.epochs,
            batch_size=params.batch_size,
            patience=params.patience,
            seed=params.seed,
            optimizer=params.optimizer,
            learning_rate=params.rate,
            time_budget_s=params.time_budget_s,
            pretrained=params.pretrained,
        )

        def batch(done: int, total: int, epoch: int) -> None:
            share = _READ + (_TRAINED - _READ) * done / total
            context.progress(share, 1, f"epoch {epoch} of {params.epochs}")

        def epoch(row: dict[str, float]) -> None:
            for name, value in row.items():
                if name not in {"epoch", "time_s"}:
                    context.metric(name, value, int(row["epoch"]))

        saved = partial(context.save_checkpoint, _CHECKPOINT)
        return train(plan, context.checkpoints / _CHECKPOINT, Watch(batch, epoch, saved, context.check_cancelled))

    def _measure(self, data: YoloDataset, part: str) -> Figures:
        def step(done: int, total: int) -> None:
            self._context.progress(_TRAINED + (_MEASURED - _TRAINED) * done / total, 1, f"measuring on {part}")

        return measure(
            self._best,
            data.yaml,
            _KEYS[part],
            image_size=self._params.image_size,
            batch_size=self._params.batch_size,
            device=self._context.device,
            folder=self._context.scratch / "measuring",
            step=step,
        )

    def _write(self, data: YoloDataset, part: str, trained: Trained, figures: Figures) -> None:
        """The artefacts."""
        context = self._context
        for name in ("best.pt", "best.onnx"):
            shutil.copyfile(self._folder / name, context.artifact(name))
        write_history(context.artifact("history.csv"), trained.history)
        draw_curves(context.artifact("curves.png"), trained.history, trained.best_epoch)
        draw_confusion(
            context.artifact("confusion.png"), figures.confusion, data.labels, CONFUSION_IOU, CONFUSION_SCORE
        )
        files = ModelFiles("best", "", "", {"weights": self._best}, self._facts(data))
        detector = YoloTorch(files, context.device)
        draw_samples(context.artifact("samples.png"), data.parts[part], data.labels, detector, context.check_cancelled)

    def _register(self, data: YoloDataset, part: str, figures: Figures, difference: float) -> None:
        metrics = {"map50": figures.map50, "map50_95": figures.map50_95}
        by_class = {f"map50_{data.labels[c.class_id]}": c.map50 for c in figures.classes}
        self._context.register(
            TrainedModel(
                family="yolo",
                folder=self._folder,
                roles={"weights": "best.pt", "onnx": "best.onnx"},
                metrics={**metrics, "precision": figures.precision, "recall": figures.recall, **by_class},
                facts={**self._facts(data), "measured_on": part},
                checks={"best.onnx": difference},
            )
        )

    def _facts(self, data: YoloDataset) -> dict[str, object]:
        """What loading the detector needs."""
        return {"family": "yolo", "labels": list(data.labels), "input_size": self._params.image_size}
