"""Changed pictures to learn from: what a class may look like too."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as stock

from saccade_kinds.train_classifier.contract import TrainClassifierAugment


class Augmentation(keras.layers.Layer):
    """Random changes, other ones for each picture and epoch; what comes in from outside repeats the edge.

    Its parts are made when it is built, not before: making them sets TensorFlow going, and its threads must be set
    by then.
    """

    def __init__(self, wanted: TrainClassifierAugment, value_range: tuple[float, float], seed: int) -> None:
        super().__init__(name="augmentation")
        self._wanted, self._value_range, self._seed = wanted, value_range, seed
        self._parts: list[Any] = []

    def build(self, input_shape: Any) -> None:
        """Make the parts."""
        wanted = self._wanted
        edge: dict[str, Any] = {"fill_mode": "nearest"}
        if wanted.flip != "none":
            mode = "horizontal_and_vertical" if wanted.flip == "both" else wanted.flip
            self._parts.append(stock.RandomFlip(mode, seed=self._seed))
        if wanted.shift:
            self._parts.append(stock.RandomTranslation(wanted.shift, wanted.shift, seed=self._seed + 1, **edge))
        if wanted.rotate:
            self._parts.append(stock.RandomRotation(wanted.rotate / 360, seed=self._seed + 2, **edge))
        if wanted.zoom:
            self._parts.append(stock.RandomZoom(wanted.zoom, seed=self._seed + 3, **edge))
        if wanted.contrast:
            part = stock.RandomContrast(wanted.contrast, value_range=self._value_range, seed=self._seed + 4)
            self._parts.append(part)
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """(N, H, W, C) float32, changed while training."""
        for part in self._parts:
            inputs = part(inputs, training=training)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same."""
        return input_shape
