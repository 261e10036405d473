"""The training loop: Keras's own ``fit``, and around it what a job needs.

A run that was killed goes on from its last checkpoint and ends with the weights that it would have had: the order of
each epoch's rows follows from (seed, epoch), dropout's random states are variables that the checkpoint holds, and an
operation is spread over as many threads as before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_core.kind import Context
from saccade_models.training import checkpoint
from saccade_models.training.checkpoint import Checkpoint, Standing
from saccade_models.training.compiling import loss_of, metrics_of, optimizer_of, row_weights
from saccade_models.training.data import Split, TrainingData
from saccade_models.training.diagnosis import diagnose
from saccade_models.training.gradients import GradientProbe, probe_rows
from saccade_models.training.loop import Loop, Training
from saccade_models.training.outputs import outputs_of
from saccade_models.training.params import EpochRow, Finding, LayerGradient, StoppedBy, TrainingParams
from saccade_models.training.pipeline import Batches, steps_at_once, validation_batch
from saccade_models.training.repeatable import make_repeatable, start_augmentation
from saccade_models.training.standardise import Standard, standard_of
from saccade_models.training.yardstick import yardstick

#: Validation rows whose outputs the diagnosis looks at.
_DIAGNOSED_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a training.

    ``model`` has the weights of ``best_epoch``: that of the least validation loss, or training loss where nothing was
    kept for validation; 0, the start, where no loss was a number. A regression's model gives values in the target's
    own unit. ``history`` and ``seconds`` contain earlier attempts. ``threads``: see ``checkpoint.Standing``.
    """

    model: keras.Model
    history: list[EpochRow]
    best_epoch: int
    stopped_by: StoppedBy
    gradients: list[LayerGradient]
    findings: list[Finding]
    seconds: float
    threads: int

    @property
    def epochs_run(self) -> int:
        return len(self.history)

    @property
    def diagnosis(self) -> list[str]:
        """The findings' sentences."""
        return [f.text for f in self.findings]


def check_learnt(fitted: Fitted) -> None:
    """Raises InvalidParams where no epoch had a loss that is a number: the network is as it began, and of no use."""
    if fitted.best_epoch == 0:
        raise InvalidParams(
            f"Nothing was learnt. {' '.join(fitted.diagnosis)}".strip(),
            field="params.learning_rate",
            received=fitted.history[-1].learning_rate if fitted.history else None,
        )


def fit(
    network: Callable[[], keras.Model],
    data: TrainingData,
    params: TrainingParams,
    context: Context,
    augment: keras.layers.Layer | None = None,
) -> Fitted:
    """Train what ``network`` builds (call no TensorFlow before: threads are set here).

    The network ends in 1 sigmoid unit (binary), one softmax unit a class (multiclass) or 1 linear unit (regression).
    ``augment`` changes the training rows, on the device, anew in each epoch; the model that comes back is without it.
    Raises Cancelled within 0.2 s of a batch's end; a loss that is no number any more ends the training.
    """
    earlier = checkpoint.read(context.checkpoints / checkpoint.NAME)
    threads = make_repeatable(params.seed, context, earlier.standing.threads if earlier else None)
    context.uses_model("keras", keras.__version__)
    model = network()
    standard = standard_of(model, data)
    scaled = replace(data, train=standard.scaled(data.train), valid=standard.scaled(data.valid))
    training = _set_up(model, scaled, params, context, augment, unit=standard.scale)
    training.standing = Standing(fingerprint=_fingerprint(training, data), threads=threads)
    _start_or_go_on(training, earlier)
    if training.standing.stopped_by is None:
        _run(training, scaled)
    return _finished(training, scaled, standard)


def _set_up(
    model: keras.Model,
    data: TrainingData,
    params: TrainingParams,
    context: Context,
    augment: keras.layers.Layer | None,
    *,
    unit: float,
) -> Training:
    loss = loss_of(data.task)
    trainer = model
    if augment is not None:
        inputs = keras.Input(model.input_shape[1:], name="augmented")
        trainer = keras.Model(inputs, model(augment(inputs)))
        start_augmentation(augment, params.seed)
    train = _arrays(data, data.train, params)
    batches = Batches(train, params.batch_size or len(data.train))
    optimizer: Any = optimizer_of(params)
    trainer.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=metrics_of(data.task),
        steps_per_execution=steps_at_once(model, batches, params.epochs),
    )
    trainer.optimizer.build(trainer.trainable_variables)
    rows = probe_rows(len(data.train), data.train.x[:1].nbytes, params.seed)
    return Training(
        model=model,
        trainer=trainer,
        batches=batches,
        probe=GradientProbe(model, loss, data.train.x[rows], train[1][rows]),
        params=params,
        context=context,
        standing=Standing(fingerprint="", threads=0),
        unit=unit,
        validates=len(data.valid) > 0,
    )


def _arrays(data: TrainingData, part: Split, params: TrainingParams) -> list[NDArray[np.generic]]:
    """x, y as a column where the network gives one, and the rows' weights where classes are weighed."""
    y = part.y if data.task == "multiclass" else part.y.astype(np.float32).reshape(-1, 1)
    weigh = params.class_weights == "balanced" and data.task != "regression"
    return [part.x, y, *([row_weights(data.train, part)] if weigh else [])]


def _start_or_go_on(training: Training, earlier: Checkpoint | None) -> None:
    variables, optimizer = training.trainer.variables, training.trainer.optimizer.variables
    known = earlier is not None and earlier.standing.fingerprint == training.standing.fingerprint
    if (
        earlier
        and known
        and checkpoint.fits(variables, earlier.network)
        and checkpoint.fits(optimizer, earlier.optimizer)
    ):
        checkpoint.assign(variables, earlier.network)
        checkpoint.assign(optimizer, earlier.optimizer)
        training.standing, training.best = earlier.standing, earlier.best
        training.context.log(f"Training goes on after epoch {earlier.standing.epochs}.")
        return
    if earlier:
        training.context.log("The checkpoint is of another training; this one begins at its start.")
    training.best = checkpoint.values(training.model.variables)
    training.standing.gradients = training.probe.measure(0)


def _run(training: Training, data: TrainingData) -> None:
    valid = None
    if training.validates:
        rows = validation_batch(data.valid.x, training.params.batch_size or len(data.train))
        valid = Batches(_arrays(data, data.valid, training.params), rows).in_order()
    done = training.standing.epochs
    training.trainer.fit(
        training.batches.shuffled(training.params.seed, done),
        steps_per_epoch=training.batches.steps,
        validation_data=valid,
        epochs=training.params.epochs,
        initial_epoch=done,
        callbacks=Loop(training),
        shuffle=False,  # they are
        verbose=0,
    )


def _finished(training: Training, data: TrainingData, standard: Standard) -> Fitted:
    model, standing = training.model, training.standing
    checkpoint.assign(model.variables, training.best)
    part = data.valid if len(data.valid) else data.train
    few = Split(part.x[:_DIAGNOSED_ROWS], part.y[:_DIAGNOSED_ROWS])
    outputs = outputs_of(model, few.x, training.context.check_cancelled)
    weighed = training.params.class_weights == "balanced"
    measured = yardstick(data, few, outputs, weighed=weighed)
    findings = diagnose(standing.history, standing.gradients, training.params, standing.stopped_by, measured)
    standard.fold_into(model)
    return Fitted(
        model=model,
        history=standing.history,
        best_epoch=standing.best_epoch,
        stopped_by=standing.stopped_by or "epochs",
        gradients=standing.gradients,
        findings=findings,
        seconds=standing.seconds,
        threads=standing.threads,
    )


def _fingerprint(training: Training, data: TrainingData) -> str:
    """Whose checkpoint a file is: of the same parameters, amounts of rows and shapes of weights."""
    facts = [
        training.params.model_dump(mode="json"),
        [list(part.x.shape) for part in (data.train, data.valid)],
        [list(v.shape) for v in training.trainer.variables],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
