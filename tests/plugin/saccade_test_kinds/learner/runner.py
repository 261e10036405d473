"""Measures by a formula."""

from __future__ import annotations

import csv
import math
import os
import signal
import time
from pathlib import Path

from saccade_core.errors import UnreadableInput
from saccade_core.kind import Context, Inputs
from saccade_core.trained import TrainedModel
from saccade_test_kinds.learner.contract import LearnerParams, LearnerResult

#: A learning rate above this ends in losses that are no numbers.
DIVERGES_ABOVE = 10.0


def run(inputs: Inputs, params: LearnerParams, context: Context) -> LearnerResult:
    """Write what a training writes; the second epoch is the best one."""
    if params.effects:
        with Path(params.effects).open("a") as stream:
            stream.write(f"{params.learning_rate:.6g} {os.getpid()}\n")
    if params.batch_size == 13:
        raise UnreadableInput("13 rows at once bring bad luck.", field="params.batch_size")
    if params.batch_size == 666:
        os.kill(os.getpid(), signal.SIGKILL)
    loss = abs(math.log10(params.learning_rate) + 2) + params.dropout + 0.3 * (params.hidden_layers is None)
    _train(params, context, None if params.learning_rate > DIVERGES_ABOVE else loss)
    folder = context.scratch / "model"
    (folder / "saved_model").mkdir(parents=True)
    (folder / "model.h5").write_text(f"{params.learning_rate!r} {inputs.one('table').path.read_text()}")
    (folder / "saved_model" / "saved_model.pb").write_text("graph")
    (folder / "model-card.md").write_text("# A model\n")
    for name in ("model.h5", "model-card.md"):
        context.artifact(name).write_bytes((folder / name).read_bytes())
    context.artifact("curves.png").write_bytes(b"\x89PNG")
    metrics = {"accuracy": math.exp(-loss), "roc_auc": math.nan}
    facts = {"labels": ["a", "b"], "seed": params.seed}
    context.register(TrainedModel("tabular", folder, {"weights": "model.h5"}, metrics, facts, {"saved_model": 0.0}))
    return LearnerResult(metrics={"accuracy": math.exp(-loss)}, model=context.registers)


def _train(params: LearnerParams, context: Context, loss: float | None) -> None:
    names = ["epoch", "loss", *(["val_loss", f"val_{params.measures}"] if params.validation_split else []), "seconds"]
    with context.artifact("history.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        for epoch in range(1, params.epochs + 1):
            context.progress(epoch - 1, params.epochs, "training")
            time.sleep(params.seconds / params.epochs)
            worse = abs(epoch - 2)
            found = "" if loss is None else loss + worse
            figure = "" if loss is None else math.exp(-loss - 2 * worse) if params.measures == "accuracy" else loss
            table.writerow([epoch, found, *([found, figure] if params.validation_split else []), 0.5])
            if loss is not None:
                context.metric("val_loss", loss + worse, epoch)
