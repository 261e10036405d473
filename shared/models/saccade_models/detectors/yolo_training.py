"""Training of YOLO detectors by ultralytics, so that it can be watched, cancelled, and resumed exactly.

Ultralytics' own resume takes up the averaged weights in half precision, drops pending gradients and starts the random
numbers anew: the curve after it is another. Here a checkpoint holds weights, their average, optimizer and gradients
as they are, and each epoch draws its random numbers from seed and epoch: on a CPU, with one number of threads, a
training that was killed gives the same bytes as one that was not. (With CUDA, worker processes load the pictures and
some kernels add in any order: there it is about the same.) A checkpoint is tensors and plain values, no pickled code.
"""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from saccade_core.errors import InvalidParams
from saccade_models.detectors.ultralytics_home import environment

os.environ.update(environment())
import torch
import ultralytics
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from saccade_models.detectors.yolo_torch import load_network

Row = dict[str, float]
StoppedBy = Literal["epochs", "patience", "time_budget"]
#: As ultralytics': pictures are put together in fours (mosaic), but not in the last epochs.
_PLAIN_EPOCHS = 10
#: What columns of ours are called in ultralytics' figures of an epoch.
_COLUMNS = {
    "train_box_loss": "train/box_loss",
    "train_class_loss": "train/cls_loss",
    "train_dfl_loss": "train/dfl_loss",
    "valid_box_loss": "val/box_loss",
    "valid_class_loss": "val/cls_loss",
    "valid_dfl_loss": "val/dfl_loss",
    "precision": "metrics/precision(B)",
    "recall": "metrics/recall(B)",
    "map50": "metrics/mAP50(B)",
    "map50_95": "metrics/mAP50-95(B)",
    "learning_rate": "lr/pg0",
}


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train and how. ``start`` is a checkpoint to learn on from, or the name of an architecture
    (``yolo11n.yaml``) to start from chance; ``data`` a data set's ``data.yaml``; ``optimizer`` and ``learning_rate``
    ultralytics' words (``auto``). ``folder`` is private, ``device`` is ``cpu`` or ``cuda:0``."""

    start: Path | str
    data: Path
    folder: Path
    device: str
    image_size: int
    epochs: int
    batch_size: int
    patience: int | None
    seed: int
    optimizer: str
    learning_rate: float | None
    time_budget_s: float | None
    pretrained: bool = True


@dataclass(frozen=True, slots=True)
class Watch:
    """What a training tells: ``batch`` (batches done, in all, the epoch from 1; raises to cancel), ``epoch`` (an
    epoch's figures), ``saved`` (the checkpoint was written), ``alive`` (between other steps; raises to cancel)."""

    batch: Callable[[int, int, int], None]
    epoch: Callable[[Row], None]
    saved: Callable[[], None]
    alive: Callable[[], None]


@dataclass(slots=True)
class Trained:
    """A finished training: the best epoch's weights (their average over steps, in half precision) as the bytes of a
    ``.pt`` of ultralytics, and ``history``, a row for each epoch.

    The file loads with ULTRALYTICS_SAFE_LOAD=1 and names no path of this machine; the same weights give the same bytes.
    """

    best: bytes
    history: list[Row]
    best_epoch: int
    stopped_by: StoppedBy


def train(plan: TrainingPlan, checkpoint: Path, watch: Watch) -> Trained:
    """Train, from ``checkpoint`` on where that file exists; it is written after each epoch.

    Raises UntrustedModel (what to start from is no checkpoint), InvalidParams (the loss is no number any more) and
    what ``watch`` raises.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True) if checkpoint.exists() else None
    if state is None or state["stopped_by"] is None:
        training = _Training(plan, checkpoint, watch, state)
        training.train()
        state = training.state()
    best = state["best"].numpy().tobytes()
    return Trained(best, state["history"], state["best_epoch"], state["stopped_by"])


class _Training(DetectionTrainer):
    """Ultralytics' training loop with our checkpoints; nothing is drawn, and what is measured goes to ``watch``."""

    ema: Any  # None until the training is set up, says ultralytics
    model: Any

    def __init__(self, plan: TrainingPlan, checkpoint: Path, watch: Watch, state: dict[str, Any] | None) -> None:
        LOGGER.setLevel("ERROR")
        self._plan, self._checkpoint, self._watch, self._taken_up = plan, checkpoint, watch, state
        self._history: list[Row] = list(state["history"]) if state else []
        self._best: torch.Tensor | None = state["best"] if state else None
        self._best_epoch: int = state["best_epoch"] if state else 0
        self._spent_s: float = state["spent_s"] if state else 0.0
        self._out_of_time = self._plain = False
        self._batch = self._pending = self._wanted = 0
        super().__init__(overrides=_overrides(plan))
        self.add_callback("on_train_epoch_start", _Training._begin_epoch)
        self.add_callback("on_train_batch_end", _Training._end_batch)

        def measured(_: object) -> None:
            watch.alive()

        self.add_callback("on_val_batch_end", measured)

    def setup_model(self) -> None:
        """The network: its weights from a checkpoint, read without running code, or from chance."""
        if isinstance(self._plan.start, str):
            self.model = self.get_model(cfg=self._plan.start, verbose=False)
            return
        base = load_network(self._plan.start)
        architecture: dict[str, Any] = cast("Any", base).yaml
        self.model = self.get_model(cfg=architecture, weights=base if self._plan.pretrained else None, verbose=False)

    def resume_training(self, ckpt: Any) -> None:  # noqa: ARG002 - ultralytics' own checkpoint, which we do not have
        """Take up the state; called when everything is built."""
        self._started_at = time.monotonic()
        state = self._taken_up
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["average"])
        self.ema.updates = state["updates"]
        cast("Any", self.optimizer).load_state_dict(state["optimizer"])
        self.best_fitness = state["best_fitness"]
        self.stopper.best_fitness, self.stopper.best_epoch = state["stopper"]
        self.start_epoch = state["epoch"] + 1
        for index in state["buffer"]:  # mosaics are made of the pictures read last
            self.train_loader.dataset.load_image(index)

    def optimizer_step(self) -> None:
        """A step where enough batches are in; as ultralytics' loop, which takes more and more during its warm-up."""
        warm_up, number = self._get_warmup_iterations(len(self.train_loader)), self._batch_number()
        due = self._nominal
        if warm_up and number <= warm_up:
            due = max(1, int(np.interp(number, [0, warm_up], [1, self._nominal]).round()))
        self._pending += 1
        if self._pending >= due:
            super().optimizer_step()
            self._pending = 0

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """An epoch's row, in place of ultralytics' file."""
        row = {"epoch": float(self.epoch + 1), "time_s": round(self._time_spent(), 3)}
        row |= {ours: float(metrics[theirs]) for ours, theirs in _COLUMNS.items() if theirs in metrics}
        self._history.append(row)
        self._watch.epoch(row)

    def save_model(self) -> Literal[True]:
        """Our checkpoint, written whole or not at all."""
        if self.stopper.best_epoch == self.epoch + 1 or self._best is None:
            file = _file(self.ema.ema, self.data["names"], self.args.imgsz)
            self._best, self._best_epoch = torch.frombuffer(bytearray(file), dtype=torch.uint8), self.epoch + 1
        part = self._checkpoint.with_suffix(".part")
        torch.save(self.state(), part)
        part.replace(self._checkpoint)
        self._watch.saved()
        return True

    def state(self) -> dict[str, Any]:
        """All that the rest of the training, or what comes after it, needs."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "average": self.ema.ema.state_dict(),
            "updates": self.ema.updates,
            "optimizer": cast("Any", self.optimizer).state_dict(),
            "gradients": {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None},
            "pending": self._pending,
            "buffer": list(self.train_loader.dataset.buffer),
            "best_fitness": None if self.best_fitness is None else float(self.best_fitness),
            "stopper": (float(self.stopper.best_fitness), int(self.stopper.best_epoch)),
            "best": self._best,
            "best_epoch": self._best_epoch,
            "history": self._history,
            "spent_s": self._time_spent(),
            "stopped_by": self._stopped_by(),
        }

    def _build_train_pipeline(self) -> None:
        """From here on each batch asks for a step: ``optimizer_step`` counts those that are due, because the loop's
        own count could not be taken up. Called anew, with smaller batches, where a device's memory is too small."""
        super()._build_train_pipeline()
        self._nominal, self.accumulate, self._pending = self.accumulate, 1, 0

    def final_eval(self) -> None:
        """Nothing: the best weights are measured by who asked for the training."""

    def _handle_nan_recovery(self, epoch: int) -> bool:
        loss = self.loss
        if loss is not None and not bool(torch.isfinite(loss)):
            raise InvalidParams(
                f"The loss is no number any more in epoch {epoch + 1}: it diverged. A smaller learning rate may help.",
                field="params.learning_rate",
                received=self._plan.learning_rate,
            )
        return False

    def _begin_epoch(self) -> None:
        """Random numbers that depend on seed and epoch only."""
        epoch = self.epoch
        if epoch >= self.epochs - _PLAIN_EPOCHS and not self._plain:
            self._plain = True
            self._close_dataloader_mosaic()
            self.train_loader.reset()
        if self.device.type == "cpu":  # else worker processes would be started anew
            self.train_loader.reset()  # a new iterator draws a number too
        drawn = [int(n) for n in np.random.SeedSequence([self._plan.seed, epoch]).generate_state(4)]
        random.seed(drawn[0])
        np.random.seed(drawn[1])  # ultralytics draws from it
        torch.manual_seed(drawn[2])
        self.train_loader.generator.manual_seed(drawn[3])
        self._batch = 0
        state, self._taken_up = self._taken_up, None
        if state is not None:  # the loop has just cleared the gradients
            self._pending = state["pending"]
            parameters = dict(self.model.named_parameters())
            for name, gradient in state["gradients"].items():
                parameters[name].grad = gradient.to(parameters[name].device)

    def _end_batch(self) -> None:
        self._batch += 1
        batches = len(self.train_loader)
        self._watch.batch(self._batch_number(), self.epochs * batches, self.epoch + 1)
        budget = self._plan.time_budget_s
        if budget is not None and self._time_spent() >= budget and self._batch_number() < self.epochs * batches:
            self._out_of_time = self.stop = True

    def _batch_number(self) -> int:
        return self.epoch * len(self.train_loader) + self._batch

    def _time_spent(self) -> float:
        """Seconds, of all attempts together."""
        return self._spent_s + time.monotonic() - self._started_at

    def _stopped_by(self) -> StoppedBy | None:
        if not self.stop:
            return None
        if self._out_of_time:
            return "time_budget"
        return "epochs" if self.epoch + 1 >= self.epochs else "patience"


def _file(network: Any, names: dict[int, str], image_size: int) -> bytes:
    """A network as the bytes of a checkpoint, half precision, without what only its training needs."""
    network = deepcopy(network).half().eval().requires_grad_(False).to("cpu", memory_format=torch.contiguous_format)
    for module in network.modules():
        for kept_from_a_run in ("anchors", "strides", "shape", "criterion", "pt_path"):
            vars(module).pop(kept_from_a_run, None)
    network.names, network.args = dict(names), {"task": "detect", "imgsz": image_size}
    content = {"epoch": -1, "model": network, "ema": None, "optimizer": None, "train_args": network.args}
    buffer = io.BytesIO()
    torch.save({**content, "version": ultralytics.__version__}, buffer)
    return buffer.getvalue()


def _overrides(plan: TrainingPlan) -> dict[str, Any]:
    rate = {} if plan.learning_rate is None else {"lr0": plan.learning_rate}
    on_cpu = plan.device == "cpu"
    return {
        "task": "detect",
        "model": str(plan.start),
        "data": str(plan.data),
        "project": str(plan.folder),
        "name": "run",
        "exist_ok": True,
        "device": "cpu" if on_cpu else plan.device.removeprefix("cuda:"),
        "imgsz": plan.image_size,
        "epochs": plan.epochs,
        "batch": plan.batch_size,
        "patience": plan.patience or 0,  # 0 never stops
        "seed": plan.seed,
        "optimizer": plan.optimizer,
        **rate,
        "workers": 0 if on_cpu else min(8, os.cpu_count() or 1),
        "close_mosaic": 0,  # done by ourselves, before an epoch's random numbers are drawn
        "deterministic": True,
        "amp": False,  # its check fetches weights
        "plots": False,
        "verbose": False,
    }
