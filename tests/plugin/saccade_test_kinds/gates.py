"""A run that waits until its test lets it go on."""

from __future__ import annotations

import time
from pathlib import Path

from saccade_core.kind import Context


def wait_at(gate: str, context: Context) -> None:
    """Write the file ``{gate}.reached`` and wait for the file ``gate``; nothing where ``gate`` is empty."""
    if gate:
        Path(f"{gate}.reached").touch()
        while not Path(gate).exists():
            context.check_cancelled()
            time.sleep(0.02)
