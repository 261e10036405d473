"""The whole of Saccade as users start it: ``saccade up`` over a temporary data folder on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil
import pytest

from saccade.client import Client
from saccade.stack.environments import workspace
from saccade.stack.state import StackState, read_state
from saccade.weights import needed_models
from saccade_core.errors import ModelMissing
from saccade_kinds import registry
from saccade_models.weights import models, pull
from servers.process import Server, free_port

#: In the environment of every process of a stack, also of those that runners start.
_MARK = "TEST_STACK_MARK"
_STOP_LIMIT_S = 60.0


class Stack:
    """A running stack at ``url``. ``process`` is ``saccade up`` itself; ``kill(name)`` kills one of the others
    (``redis``, ``gateway``, ``keeper``, ``cpu-1``, ``cpu-2``), which then comes back."""

    def __init__(
        self,
        *,
        workers: str = "cpu=2",
        data_dir: Path | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="saccade-stack-"))
        self.data_dir = data_dir or self._folder / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mark = uuid.uuid4().hex
        self.client = Client(self.url, patience_s=60)
        marks = {
            _MARK: self.mark,
            "SACCADE_CHILD_ENV": f'["{_MARK}"]',
            "SACCADE_POOL_PYTHON_CPU": sys.executable,
            "SACCADE_POOL_PYTHON_TORCH": sys.executable,
            "SACCADE_POOL_PYTHON_KERAS": str(keras_python()),
            **(env or {}),
        }
        self._server = Server([*self.command(), "--workers", workers], self._folder, "saccade", env=marks)

    def command(self) -> list[str]:
        """``saccade up`` over this stack's data and port."""
        data, port = str(self.data_dir), str(self.port)
        return [sys.executable, "-m", "saccade", "up", "--data-dir", data, "--port", port]

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """``saccade up``."""
        assert self._server.process is not None, "the stack is not running"
        return self._server.process

    @property
    def output(self) -> str:
        """What ``saccade up`` printed."""
        return self._server.log.read_text(errors="replace")

    @property
    def state(self) -> StackState:
        """``stack.json``."""
        found = read_state(self.data_dir)
        assert found is not None, "there is no stack.json"
        return found

    def start(self) -> None:
        """Start (again) over the same data and port, and wait until it is ready."""
        before = self.output.count("Saccade is up.") if self._server.log.exists() else 0
        self._server.start(lambda: self.output.count("Saccade is up.") > before)

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return self.state.processes

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Signal one process; its id."""
        pid = self.pids()[name]
        with suppress(ProcessLookupError):  # it may be dead already, and not yet started again
            os.kill(pid, how)
        return pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask ``saccade up`` to stop; its exit status."""
        process, self._server.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def members(self) -> list[psutil.Process]:
        """Every living process of this stack, on any level."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self.mark:
                    found.append(process)
        return found

    def close(self) -> None:
        """Stop, and remove the data."""
        self.client.close()
        try:
            if self._server.process is not None:
                self.stop()
        finally:
            for process in self.members():
                with suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)


def keras_python() -> Path:
    """The Python of the environment that has TensorFlow and the tests' libraries."""
    root = workspace()
    assert root is not None, "the tests run in a checkout"
    return root / ".venvs" / "keras-test" / "bin" / "python"


StartStack = Callable[..., Stack]


def eventually(condition: Callable[[], bool], *, within_s: float = 60.0, what: str = "the condition") -> None:
    """Wait for the condition; fail when it does not come about."""
    limit = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < limit, f"{what} did not come about within {within_s} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def registered_models() -> None:
    """Bring the models of the kinds' samples, which must be had, and of the others those that are to be had."""
    needed = needed_models(registry.kinds())
    for name in [*needed, *(name for name in models() if name not in needed)]:
        with nullcontext() if name in needed else suppress(ModelMissing):
            pull(name, print, lambda: Path(sys.executable))


@pytest.fixture(scope="session")
def stack(registered_models: None) -> Generator[Stack]:
    """A running stack for the whole session, with two cpu workers and one of each other queue; tests leave it running
    and unharmed."""
    del registered_models
    made = Stack(workers="cpu=2,torch=1,keras=1")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def start_stack(registered_models: None) -> Generator[StartStack]:
    """Starts stacks of the test's own: ``start_stack(workers="cpu=1", env={...})``; they end with the test."""
    del registered_models
    made: list[Stack] = []

    def start(**options: object) -> Stack:
        made.append(Stack(**options))  # pyright: ignore[reportArgumentType] - Stack's own keywords
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.close()
