"""What a running stack leaves in its data folder: a lock, and ``stack.json`` for other commands."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from saccade.stack.errors import StackError

DATA_FOLDER = ".saccade"
_FILE = "stack.json"


class StackState(BaseModel):
    """``stack.json``: the API's address and the processes' ids. It may be stale; the lock is what counts."""

    url: str
    data_dir: str
    started: float
    supervisor: int
    processes: dict[str, int]

    def write(self) -> None:
        """Replace the file at once, so that a reader never sees half of it."""
        file = Path(self.data_dir) / _FILE
        partial = file.with_suffix(".part")
        partial.write_text(self.model_dump_json(indent=2) + "\n", "utf-8")
        partial.replace(file)


def read_state(data: Path) -> StackState | None:
    """What the last stack over this data folder left, if anything readable."""
    try:
        return StackState.model_validate_json((data / _FILE).read_text("utf-8"))
    except (OSError, ValidationError):
        return None


def forget_state(data: Path) -> None:
    """Remove ``stack.json``."""
    (data / _FILE).unlink(missing_ok=True)


def find_data(start: Path) -> Path | None:
    """The data folder ``.saccade`` of ``start`` or its nearest parent that has one."""
    return next((f / DATA_FOLDER for f in [start, *start.parents] if (f / DATA_FOLDER).is_dir()), None)


@contextmanager
def data_lock(data: Path) -> Generator[None]:
    """Make the data folder, private, and hold its lock; StackError while another stack has it.

    The kernel drops the lock with the process, however it ends. Children do not inherit it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StackError(f"Cannot write to the data folder {data}: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        state = read_state(data)
        where = f" at {state.url} (process {state.supervisor})" if state else ""
        raise StackError(f"A stack already runs over {data}{where}. Stop it, or choose another --data-dir.") from None
    try:
        yield
    finally:
        os.close(descriptor)
