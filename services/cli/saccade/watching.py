"""Follow a job in the terminal until its end."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from saccade.client import Client, Event
from saccade_core.jobs import Job, no_worker_stage

_CANCEL_WAIT_S = 15.0
#: Without a terminal: a new stage is told at most so often, and progress in the same stage so often.
_STAGE_EVERY_S = 1.0
_PROGRESS_EVERY_S = 5.0


def follow(client: Client, job: Job, console: Console, *, cancel: bool) -> Job:
    """Show the job's progress and log until its end; the job then. What is no terminal gets plain lines.

    On Ctrl-C the job is cancelled where ``cancel`` says so, else only left; a second Ctrl-C leaves it in any case.
    """
    try:
        with _shown(job, console) as shown:
            for event in client.events(job.id):
                _show(shown, event, job.pool)
                if event.type == "done":
                    break
        return client.wait(job.id)
    except KeyboardInterrupt:
        if not cancel:
            console.print(f"{job.id} goes on; see it again with: saccade watch {job.id}")
            raise click.exceptions.Exit(130) from None
        console.print(f"cancelling {job.id} (Ctrl-C again leaves it alone)")
        client.cancel(job.id)
        ended = client.wait(job.id, timeout_s=_CANCEL_WAIT_S)
        console.print(f"{job.id} {ended.state}")
        raise click.exceptions.Exit(130) from None


def remedy(stage: str, pool: str) -> str:
    """What starts the job where its stage says that nobody can; else empty."""
    if stage not in {no_worker_stage(pool), no_worker_stage(f"{pool}.train")}:
        return ""
    workers = "cpu=2" if pool == "cpu" else f"cpu=2,{pool}=1"
    return f"it starts with such a worker: saccade up --workers {workers}"


class _Shown(Protocol):
    """Where progress is shown."""

    def state(self, state: str) -> None: ...

    def progress(self, fraction: float, stage: str, of: str) -> None: ...

    def say(self, line: str) -> None: ...


class _Bar:
    """A bar on a terminal, which goes at the end: what stays on the screen is the result."""

    def __init__(self, bar: Progress, kind: str, state: str) -> None:
        self._bar = bar
        self._task = bar.add_task(kind, total=1.0, stage=state, of="")

    def state(self, state: str) -> None:
        self._bar.update(self._task, stage=state, of="")

    def progress(self, fraction: float, stage: str, of: str) -> None:
        self._bar.update(self._task, completed=fraction, stage=stage, of=of)

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False)


class _Lines:
    """A plain line at each change of state or stage, and every 5 s of progress."""

    def __init__(self, console: Console, job_id: str) -> None:
        self._console = console
        self._id = job_id
        self._state = ""
        self._stage = ""
        self._told_at = float("-inf")

    def state(self, state: str) -> None:
        if state == self._state:
            return
        self.say(f"{self._id} {state}")
        self._state = state
        self._stage, self._told_at = "", float("-inf")

    def progress(self, fraction: float, stage: str, of: str) -> None:
        pause = _PROGRESS_EVERY_S if stage == self._stage else _STAGE_EVERY_S
        if time.monotonic() - self._told_at >= pause:
            self.say(f"{self._id} {fraction:.0%} {stage}{of}")
            self._stage, self._told_at = stage, time.monotonic()

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


@contextmanager
def _shown(job: Job, console: Console) -> Generator[_Shown]:
    if not console.is_terminal:
        yield _Lines(console, job.id)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[stage]}{task.fields[of]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, job.kind, job.state.value)


def _show(shown: _Shown, event: Event, pool: str) -> None:
    data = event.data
    match event.type:
        case "progress":
            stage = str(data.get("stage", ""))
            shown.progress(float(data.get("fraction", 0)), stage, _of(data))
            if hint := remedy(stage, pool):
                shown.say(hint)
        case "state":
            shown.state(str(data.get("state", "")))
        case "done" if data.get("state"):
            shown.state(str(data["state"]))
        case "log":
            shown.say(str(data.get("message", "")))
        case _:
            pass


def _of(data: dict[str, Any]) -> str:
    done, total = data.get("done"), data.get("total")
    if not total or done is None:
        return ""
    eta = data.get("eta_s")
    return f" {done:g}/{total:g}" + (f", {eta:.0f} s left" if eta else "")
