"""Runs ``train_classifier``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from saccade_core.kind import Context, Inputs
from saccade_core.trained import TrainedModel
from saccade_kinds.train_classifier.augment import Augmentation
from saccade_kinds.train_classifier.contract import TrainClassifierParams, TrainClassifierResult
from saccade_kinds.train_classifier.data import Pictures, read, training_data
from saccade_kinds.train_classifier.network import network, plan
from saccade_kinds.train_classifier.outcome import Outcome, result_of, write_artifacts, write_model_card
from saccade_kinds.train_classifier.worst import Mistake, worst_mistakes
from saccade_models.training.baseline import measure_baseline
from saccade_models.training.data import PartName
from saccade_models.training.fit import check_learnt, fit
from saccade_models.training.forms import ROLES, roles, write_forms
from saccade_models.training.outputs import outputs_of
from saccade_models.training.params import LEARNING_RATES
from saccade_models.training.scores import score

_STEPS = 4
_MISTAKES = 24
#: Of the usual learning rate, where a base is tuned: what it knows must not be washed out.
_TUNING = 0.03


def run(inputs: Inputs, params: TrainClassifierParams, context: Context) -> TrainClassifierResult:
    """Read the pictures, train, measure, write all forms and register the model."""
    base = context.model(params.base) if params.base else None
    pictures = read(inputs, params, base, context)
    planned = plan(params, pictures.wanted)
    data = training_data(pictures, planned.task)
    changed = params.augment and Augmentation(params.augment, pictures.wanted.value_range, params.seed)
    made = network(params, planned, pictures.wanted, base, data.train)
    fitted = fit(made, data, _tuned(params), context, changed)
    check_learnt(fitted)
    context.progress(0, _STEPS, "measuring")
    measured_on, part = data.held_out()
    outputs = outputs_of(fitted.model, part.x, context.check_cancelled)
    scores = score(planned.task, part.y, outputs, data.labels)
    baseline = measure_baseline(data, params.seed)
    context.progress(1, _STEPS, "writing the model")
    folder = context.scratch / "model"
    checks = write_forms(fitted.model, folder, part.x, context.check_cancelled, context.log)
    (folder / ROLES["preprocess"]).write_text(pictures.wanted.model_dump_json(indent=1), "utf-8")
    context.progress(2, _STEPS, "writing the report")
    outcome = Outcome(
        task=planned.task,
        pictures=pictures,
        fitted=fitted,
        trained_parameters=sum(math.prod(weights.shape) for weights in fitted.model.trainable_weights),
        measured_on=measured_on,
        scores=scores,
        baseline=baseline,
        mistakes=_mistakes(pictures, measured_on, outputs),
        checks=checks,
    )
    write_artifacts(outcome, folder, context)
    write_model_card(outcome, inputs.many("dataset")[0], params, folder, context)
    context.progress(3, _STEPS, "registering")
    facts = {
        "labels": list(data.labels),
        "task": planned.task,
        "input_shape": list(pictures.wanted.shape),
        "parameters": fitted.model.count_params(),
    }
    context.register(TrainedModel("classifier", folder, roles(folder), scores.metrics, facts, checks))
    context.progress(_STEPS, _STEPS, "done")
    return result_of(outcome, context.registers)


def _tuned(params: TrainClassifierParams) -> TrainClassifierParams:
    if not params.fine_tune or params.learning_rate is not None:
        return params
    return params.model_copy(update={"learning_rate": _TUNING * LEARNING_RATES[params.optimizer]})


def _mistakes(pictures: Pictures, measured_on: PartName, outputs: NDArray[np.float32]) -> list[Mistake]:
    part = pictures.parts[measured_on]
    scores = outputs if outputs.shape[1] > 1 else np.hstack([1 - outputs, outputs])
    return worst_mistakes(part, scores, pictures.wanted.labels, _MISTAKES)
