"""One kept process: started, started again with back-off when it dies, ended with all that belongs to it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from saccade.stack.config import Program

_PR_SET_CHILD_SUBREAPER = 36
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_STABLE_AFTER_S = 30.0
_END_LIMIT_S = 10.0
#: With the content moved aside before, a process's logs take twice this, and what one minute brings.
LOG_LIMIT_BYTES = 50_000_000

Clock = Callable[[], float]


class Backoff:
    """Pauses between starts: 0.2 s doubling to 10 s, from the beginning after a life of 30 s."""

    def __init__(self) -> None:
        self._next = _FIRST_PAUSE_S

    def pause(self, lived_s: float) -> float:
        """Seconds to wait after a process that lived ``lived_s``."""
        if lived_s >= _STABLE_AFTER_S:
            self._next = _FIRST_PAUSE_S
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE_S)
        return pause


class Kept:
    """A program and its process, which leads a session and process group of its own.

    The kernel kills it when this process dies (``setpriv --pdeathsig``, from Debian's essential util-linux), so that
    it must be started from a thread that lives as long as the process: the main thread.
    """

    def __init__(self, program: Program, logs: Path, clock: Clock = time.monotonic) -> None:
        self.program = program
        self.log = logs / f"{program.name}.log"
        self.restart_at: float | None = None
        self._clock = clock
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it was started and not yet found dead."""
        return self._process.pid if self._process else None

    def start(self) -> int:
        """Start it; the process id."""
        guard = [shutil.which("setpriv") or "/usr/bin/setpriv", "--pdeathsig", "KILL", "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self.program.argv],
                env=dict(self.program.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.restart_at = None
        self._started_at = self._clock()
        return self._process.pid

    def died(self) -> int | None:
        """Its exit status (negative: the signal's number) once after each death; its group is gone then."""
        code = self._process.poll() if self._process else None
        if self._process is None or code is None:
            return None
        self._signal_group(signal.SIGKILL)
        self._process = None
        self.restart_at = self._clock() + self._backoff.pause(self._clock() - self._started_at)
        return code

    def due(self) -> bool:
        """Whether it is time to start it again."""
        return self.restart_at is not None and self._clock() >= self.restart_at

    def ask_to_stop(self) -> None:
        """SIGTERM to the process alone: what it started is its own to stop."""
        self.restart_at = None
        if self._process:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the process and its group."""
        self._signal_group(signal.SIGKILL)

    def last_words(self) -> str:
        """The last line of its log."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 2000))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""

    def limit_log(self) -> None:
        """Move the log's content to ``<name>.log.1`` where it is over LOG_LIMIT_BYTES; the process writes on."""
        with suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT_BYTES:
                with suppress(OSError):  # a full disk needs the room more than the old lines
                    shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)  # it was opened to append, so that writing goes on at the beginning

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies, so that none can slip away."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def sweep_orphans(kept: set[int]) -> None:
    """Kill and reap what a dead process left behind: all children but those with these ids, and but what this process
    runs for itself (an export), which is in its session: nothing that comes from a kept process can be there."""
    _end([child for child in psutil.Process().children() if child.pid not in kept and not _in_our_session(child.pid)])


def end_descendants() -> None:
    """Kill and reap every process below this one."""
    give_up = time.monotonic() + _END_LIMIT_S
    while (living := psutil.Process().children(recursive=True)) and time.monotonic() < give_up:
        _end(living)


def _in_our_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == os.getsid(0)
    except OSError:  # it is gone
        return False


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=1)
