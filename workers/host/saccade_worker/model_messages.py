"""How a trained model comes back from the child process: as JSON and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saccade_core.trained import TrainedModel


def tell_model(model: TrainedModel, root: Path) -> dict[str, Any]:
    """A model for the pipe; its folder is named relative to the run's folder ``root``. Raises ValueError."""
    return {
        "family": model.family,
        "folder": model.folder.resolve().relative_to(root.resolve()).as_posix(),
        "roles": dict(model.roles),
        "metrics": {name: float(value) for name, value in model.metrics.items()},
        "facts": dict(model.facts),
        "checks": {name: float(value) for name, value in model.checks.items()},
    }
