"""Keeps the stack's processes alive until it is asked to stop, and then ends them in order."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from saccade.stack.config import Program
from saccade.stack.processes import Clock, Kept, adopt_orphans, end_descendants, sweep_orphans

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READY_WITHIN_S = 15.0
_SWEEP_EVERY_S = 5.0
_LOOK_AT_LOGS_EVERY_S = 60.0
_TICK_S = 0.5


class Signals:
    """Counts the wishes to stop, and wakes the main thread for them and for the death of children."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reader, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (*_STOP_SIGNALS, signal.SIGCHLD)}
        self._fd_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, _noted)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._reader)
        os.close(self._writer)

    def stop(self) -> None:
        """Ask for the stop, from any thread."""
        self.stops += 1
        os.write(self._writer, b"\0")

    def wait(self, timeout_s: float) -> None:
        """Sleep until a signal or for ``timeout_s``."""
        if self._selector.select(max(0.0, timeout_s)):
            os.read(self._reader, 4096)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1


class Supervisor:
    """All kept processes. ``say`` gets one line for each start, death and stop; ``changed`` their ids by name."""

    def __init__(
        self,
        programs: Iterable[Program],
        logs: Path,
        signals: Signals,
        *,
        say: Callable[[str], None],
        changed: Callable[[dict[str, int]], None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._kept = [Kept(program, logs, clock) for program in programs]
        self._signals = signals
        self._say = say
        self._changed = changed or _nobody
        self._clock = clock
        self._sweep_at = 0.0
        self._look_at_logs_at = 0.0

    def run(self) -> None:
        """Start everything, keep it alive until a stop is asked for, end everything."""
        adopt_orphans()
        try:
            self._start_all()
            while not self._signals.stops:
                self._tend()
                self._signals.wait(self._next_due_s())
        finally:
            self._stop_all()

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that live."""
        return {kept.program.name: kept.pid for kept in self._kept if kept.pid is not None}

    def _start_all(self) -> None:
        for kept in self._kept:
            if self._signals.stops:
                return
            self._start(kept)
            give_up = self._clock() + _READY_WITHIN_S
            while kept.program.ready and not kept.program.ready() and self._clock() < give_up:
                if self._signals.stops or self._mourn(kept):
                    break
                self._signals.wait(0.02)

    def _start(self, kept: Kept, note: str = "") -> None:
        pid = kept.start()
        self._say(f"{kept.program.name} started (process {pid}){note}")
        self._changed(self.pids())

    def _tend(self) -> None:
        for kept in self._kept:
            self._mourn(kept)
            if kept.due():
                self._start(kept, " again")
        if self._clock() >= self._sweep_at:
            self._sweep_at = self._clock() + _SWEEP_EVERY_S
            sweep_orphans(set(self.pids().values()))
        if self._clock() >= self._look_at_logs_at:
            self._look_at_logs_at = self._clock() + _LOOK_AT_LOGS_EVERY_S
            for kept in self._kept:
                kept.limit_log()

    def _mourn(self, kept: Kept) -> bool:
        """Whether it died since it was last looked at; says so."""
        code = kept.died()
        if code is None:
            return False
        self._sweep_at = 0.0
        pause = max(0.0, (kept.restart_at or 0.0) - self._clock())
        words = kept.last_words() if code > 0 else ""
        self._say(f"{kept.program.name} {ending(code)}, again in {pause:.1f} s" + (f": {words}" if words else ""))
        self._changed(self.pids())
        return True

    def _next_due_s(self) -> float:
        due = [kept.restart_at - self._clock() for kept in self._kept if kept.restart_at is not None]
        return min([_TICK_S, *due])

    def _stop_all(self) -> None:
        wishes = self._signals.stops
        order = sorted(self._kept, key=lambda kept: kept.program.stop_order)
        for _, group in groupby(order, key=lambda kept: kept.program.stop_order):
            self._stop_group(list(group), wishes)
        end_descendants()

    def _stop_group(self, group: list[Kept], wishes: int) -> None:
        """End these together; one more wish than ``wishes`` (a second Ctrl-C) ends their grace."""
        for kept in group:
            kept.ask_to_stop()
        asked = self._clock()
        living = [kept for kept in group if kept.pid is not None]
        while living:
            for kept in living:
                code = kept.died()
                if code is not None:
                    kept.restart_at = None
                    self._say(f"{kept.program.name} {ending(0 if code == -signal.SIGTERM else code)}")
                elif self._clock() - asked > kept.program.grace_s or self._signals.stops > wishes:
                    kept.kill()
            living = [kept for kept in living if kept.pid is not None]
            if living:
                self._signals.wait(0.1)


def ending(code: int) -> str:
    """A process's end in words."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return "stopped" if code == 0 else f"ended with status {code}"


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up is all that the signal is for."""


def _nobody(_pids: dict[str, int]) -> None:
    """Nobody wants to know."""
