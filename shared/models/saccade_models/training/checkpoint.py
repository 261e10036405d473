"""Where a training stands after an epoch, as one file; a run that goes on from it ends in the same bytes.

The file is a zip of raw arrays (``numpy.savez``, read without pickle): all variables of the network (dropout's random
states among them), of the optimizer, the best weights so far, and ``Standing`` as JSON.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from saccade_models.training.params import EpochRow, LayerGradient, StoppedBy

NAME = "training.npz"

Arrays = list[NDArray[Any]]


class Standing(BaseModel):
    """What the loop remembers between epochs. ``fingerprint`` tells whose it is; ``threads`` is how many an operation
    is spread over, which the last bits of the weights depend on."""

    fingerprint: str
    threads: int
    history: list[EpochRow] = Field(default_factory=list[EpochRow])
    gradients: list[LayerGradient] = Field(default_factory=list[LayerGradient])
    best_epoch: int = 0
    best_loss: float | None = None
    seconds: float = 0.0
    stopped_by: StoppedBy | None = None

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.history)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``best`` are the network's weights after the best epoch."""

    standing: Standing
    network: Arrays
    optimizer: Arrays
    best: Arrays


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all."""
    parts = {"network": checkpoint.network, "optimizer": checkpoint.optimizer, "best": checkpoint.best}
    arrays = {f"{part}_{n:05d}": array for part, found in parts.items() for n, array in enumerate(found)}
    standing = np.frombuffer(checkpoint.standing.model_dump_json().encode(), dtype=np.uint8)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, standing=standing, **arrays)
    partial.replace(path)


def read(path: Path) -> Checkpoint | None:
    """The checkpoint in ``path``; None where there is none, or its bytes are damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # NumPy does not look at the checksums
                return None
        with np.load(path, allow_pickle=False) as file:
            standing = Standing.model_validate_json(file["standing"].tobytes())
            network, optimizer, best = (_part(file, p) for p in ("network", "optimizer", "best"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError):
        return None
    return Checkpoint(standing, network, optimizer, best)


def _part(file: Any, part: str) -> Arrays:
    return [file[name] for name in sorted(file.files) if name.startswith(f"{part}_")]


def values(variables: Sequence[Any]) -> Arrays:
    """Copies of Keras variables' values."""
    return [np.array(v.numpy()) for v in variables]


def assign(variables: Sequence[Any], arrays: Arrays) -> None:
    """Set Keras variables to ``arrays``, of the same shapes."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def fits(variables: Sequence[Any], arrays: Arrays) -> bool:
    """Whether ``arrays`` can be the values of ``variables``."""
    return [tuple(v.shape) for v in variables] == [a.shape for a in arrays]
