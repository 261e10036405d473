"""What happens around the batches of a training: news, cancelling, the best weights, checkpoints, when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from saccade_core.kind import Context
from saccade_models.training import checkpoint
from saccade_models.training.checkpoint import Arrays, Checkpoint, Standing
from saccade_models.training.gradients import GradientProbe
from saccade_models.training.params import EpochRow, StoppedBy, TrainingParams
from saccade_models.training.pipeline import Batches

#: Seconds between two looks at cancelling, loss and budget.
LOOK_S = 0.2
#: At least so many seconds between two checkpoints, and so many times as long as one takes to write.
SAVE_S, SAVE_TIMES = 0.5, 20
#: Figures of so many epochs are all sent; later ones at most each ``METRIC_S``.
SENT_EPOCHS, METRIC_S = 200, 0.1


@dataclass(slots=True)
class Training:
    """One run: ``trainer`` is ``model`` behind the augmentation, where there is one."""

    model: keras.Model
    trainer: keras.Model
    batches: Batches
    probe: GradientProbe
    params: TrainingParams
    context: Context
    standing: Standing
    #: What the mean absolute error of a standardised target is multiplied with.
    unit: float
    validates: bool
    best: Arrays = field(default_factory=list[Any])

    def save(self) -> None:
        """Write a checkpoint and have it kept."""
        found = Checkpoint(
            self.standing,
            checkpoint.values(self.trainer.variables),
            checkpoint.values(self.trainer.optimizer.variables),
            self.best,
        )
        checkpoint.write(self.context.checkpoints / checkpoint.NAME, found)
        self.context.save_checkpoint(checkpoint.NAME)


class Loop(keras.callbacks.CallbackList):
    """The one listener of ``keras.Model.fit``. Keras's own list makes Python floats of the figures after each batch,
    for callbacks that look at them; here nobody does more than once in ``LOOK_S``."""

    def __init__(self, training: Training) -> None:
        super().__init__(callbacks=None, add_history=True, add_progbar=False, model=training.trainer)
        self._run = training
        self._earlier_s = training.standing.seconds
        self._started = self._began = time.monotonic()
        self._looked = self._sent = 0.0
        self._epoch, self._save_after = 0, 0.0
        self._stop: StoppedBy | None = None
        #: After it gradients are taken, beside before the first and after the last epoch; of a short run not.
        self._middle = training.params.epochs // 2 if training.params.epochs >= 4 else 0

    # Keras gives the batch or epoch by its place and ``logs`` by its name.

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self._started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        self._epoch, self._began = epoch, time.monotonic()
        self._progress(0)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._progress(batch + 1)
        if not math.isfinite(float((logs or {})["loss"])):
            self._stop = "diverged"
        elif self._over_budget(now):
            self._stop = "time_budget"
        if self._stop:
            self._run.trainer.stop_training = True

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._run.context.check_cancelled()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Nothing."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        now = time.monotonic()
        row = self._row(logs or {}, now)
        standing = self._run.standing
        standing.history.append(row)
        standing.seconds = self._earlier_s + now - self._started
        self._keep_best(row)
        standing.stopped_by = self._why_stop(row, now)
        if standing.stopped_by or row.epoch == self._middle:
            standing.gradients += self._run.probe.measure(row.epoch)
        self._send(row, now)
        self._save(now)
        self._run.trainer.stop_training = standing.stopped_by is not None
        self._progress(0, row.epoch)

    def _row(self, logs: Mapping[str, Any], now: float) -> EpochRow:
        figures = {name: float(value) for name, value in logs.items()}
        figures |= {name: value * self._run.unit for name, value in figures.items() if name.endswith("mae")}
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        rate = float(self._run.trainer.optimizer.learning_rate.numpy())
        return EpochRow(epoch=self._epoch + 1, learning_rate=rate, seconds=now - self._began, **finite)

    def _keep_best(self, row: EpochRow) -> None:
        """The monitored loss is the validation's; the training's where nothing was kept for validation."""
        standing = self._run.standing
        loss = row.loss if row.val_loss is None and not self._run.validates else row.val_loss
        if row.loss is not None and loss is not None and (standing.best_loss is None or loss < standing.best_loss):
            standing.best_loss, standing.best_epoch = loss, row.epoch
            self._run.best = checkpoint.values(self._run.model.variables)

    def _why_stop(self, row: EpochRow, now: float) -> StoppedBy | None:
        patience = self._run.params.patience
        if row.loss is None or (self._run.validates and row.val_loss is None):
            return "diverged"
        if self._stop or self._over_budget(now):
            return self._stop or "time_budget"
        if row.epoch >= self._run.params.epochs:
            return "epochs"
        waited = row.epoch - self._run.standing.best_epoch
        return "patience" if patience is not None and waited >= patience else None

    def _send(self, row: EpochRow, now: float) -> None:
        if row.epoch > SENT_EPOCHS and now - self._sent < METRIC_S and not self._run.standing.stopped_by:
            return
        self._sent = now
        for name, value in row.model_dump(exclude={"epoch"}, exclude_none=True).items():
            self._run.context.metric(name, value, row.epoch)

    def _save(self, now: float) -> None:
        if now >= self._save_after or self._run.standing.stopped_by:
            self._run.save()
            done = time.monotonic()
            self._save_after = done + max(SAVE_S, SAVE_TIMES * (done - now))

    def _over_budget(self, now: float) -> bool:
        budget = self._run.params.time_budget_s
        return budget is not None and self._earlier_s + now - self._started >= budget

    def _progress(self, batches: int, epochs: int | None = None) -> None:
        total = self._run.params.epochs
        done = self._epoch + batches / self._run.batches.steps if epochs is None else epochs
        self._run.context.progress(min(done, total), total, f"epoch {min(self._epoch + 1, total)} of {total}")
