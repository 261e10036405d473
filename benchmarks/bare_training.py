"""Run on a Python with TensorFlow: handwritten digits as a Keras script by hand learns them.

``python benchmarks/bare_training.py IMAGES LABELS EPOCHS`` reads IDX files (.gz), trains the network of bare_keras.py
with a tenth of the pictures for validation, and prints as JSON how long ``fit`` took.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
from bare_keras import SHAPE, network


def main(images: Path, labels: Path, epochs: int) -> None:
    """Train as a notebook does."""
    x = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, *SHAPE).astype("float32")
    y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8).astype("int64")
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    model.fit(x / 255, y, batch_size=32, epochs=epochs, validation_split=0.1, verbose=0)
    print(json.dumps({"fit_s": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
