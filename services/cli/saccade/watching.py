"""Follow a job in the terminal until its end."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from saccade.client import Client, Event
from saccade_core.jobs import Job

_CANCEL_WAIT_S = 15.0


def follow(client: Client, job: Job, console: Console, *, cancel: bool) -> Job:
    """Show the job's progress and log until its end; the job then.

    On Ctrl-C the job is cancelled where ``cancel`` says so, else only left; a second Ctrl-C leaves it in any case.
    """
    try:
        with _bar(console) as bar:
            task = bar.add_task(job.kind, total=1.0, stage=job.state.value, of="")
            for event in client.events(job.id):
                _show(bar, task, event)
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


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[stage]}{task.fields[of]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,  # what stays on the screen is the result
        disable=not console.is_terminal,
    )


def _show(bar: Progress, task: TaskID, event: Event) -> None:
    data = event.data
    match event.type:
        case "progress":
            bar.update(task, completed=float(data.get("fraction", 0)), stage=str(data.get("stage", "")), of=_of(data))
        case "state":
            bar.update(task, stage=str(data.get("state", "")), of="")
        case "log":
            bar.console.print(str(data.get("message", "")), markup=False)
        case _:
            pass


def _of(data: dict[str, Any]) -> str:
    done, total = data.get("done"), data.get("total")
    if not total or done is None:
        return ""
    eta = data.get("eta_s")
    return f" {done:g}/{total:g}" + (f", {eta:.0f} s left" if eta else "")
