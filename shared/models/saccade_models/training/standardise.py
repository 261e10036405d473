"""A regression's target with mean 0 and variance 1 while it is learnt; the finished network gives the target's unit."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from saccade_models.training.data import Split, TrainingData


@dataclass(frozen=True, slots=True)
class Standard:
    """``y = scale * learnt + mean``; of the training part."""

    mean: float
    scale: float

    def scaled(self, part: Split) -> Split:
        if (self.mean, self.scale) == (0.0, 1.0):
            return part
        y = (part.y.astype(np.float64) - self.mean) / self.scale
        return Split(part.x, y.astype(np.float32))

    def fold_into(self, model: keras.Model) -> None:
        """Let the network's last, linear layer do the way back."""
        if (self.mean, self.scale) == (0.0, 1.0):
            return
        kernel, bias = (w.astype(np.float64) for w in model.layers[-1].get_weights())
        folded = (kernel * self.scale, bias * self.scale + self.mean)
        model.layers[-1].set_weights([w.astype(np.float32) for w in folded])


def standard_of(model: keras.Model, data: TrainingData) -> Standard:
    """What to standardise by: nothing (mean 0, scale 1) of a classification, or before a last layer that is not one
    linear unit with a bias."""
    last = model.layers[-1]
    linear = isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear and last.use_bias
    if data.task != "regression" or not linear:
        return Standard(0.0, 1.0)
    y = data.train.y.astype(np.float64)
    return Standard(float(y.mean()), float(y.std()) or 1.0)
