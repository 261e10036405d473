"""``saccade up``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console

from saccade.commands.options import data_option
from saccade.demo import Skipped, run_demo
from saccade.stack.config import StackConfig, Workers, free_port, parse_workers
from saccade.stack.up import WhenReady, run_stack
from saccade.tables import LastingConsole, demo_table, links
from saccade_core.jobs import Job, JobState
from saccade_core.records.database import Database

#: A demo that is to end needs an end also when the stack does not get ready.
_READY_WITHIN_S = 120.0


def _workers(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Workers:
    try:
        return parse_workers(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@data_option
@click.option(
    "--workers",
    callback=_workers,
    metavar="POOL=N,...",
    help="Workers of each pool (cpu, torch, keras), as in cpu=2,keras=1; keras and torch get a worker for training, "
    "too, unless keras.train=N says how many  [default: a cpu worker per core, at most 4]",
)
@click.option("--demo", is_flag=True, help="Run one small job of each kind when all is up.")
@click.option(
    "--exit", "then_exit", is_flag=True, help="With --demo: stop after it; status 0 if every job that it ran succeeded."
)
def up(*, host: str, port: int, data_dir: Path, workers: Workers, demo: bool, then_exit: bool) -> None:
    """Start Saccade on this machine and keep it running until Ctrl-C."""
    if then_exit and not demo:
        raise click.UsageError("--exit goes with --demo.")
    config = StackConfig(host, port or free_port(host), Path(os.path.abspath(data_dir)), workers)  # noqa: PTH100 - a link stays
    console = LastingConsole(soft_wrap=True, highlight=False)

    def say(line: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            console.print(f"[dim]{datetime.now().astimezone():%H:%M:%S}[/dim]", line.replace("[", "\\["))

    def ready(database: Database) -> int | None:
        with suppress(OSError):
            _announce(config, console)
        if not demo:
            return None
        done = run_demo(config.url, database, config.workers.queues, say)
        with suppress(OSError):
            _show_demo(done, config.url, console)
        succeeded = all(isinstance(each, Skipped) or each.state is JobState.SUCCEEDED for each in done)
        return (0 if succeeded else 1) if then_exit else None

    sys.exit(run_stack(config, WhenReady(ready, _READY_WITHIN_S if then_exit else None), say))


def _announce(config: StackConfig, console: Console) -> None:
    console.print("\n[bold green]Saccade is up.[/bold green] Ctrl-C stops it.")
    for name, value in (
        ("API", config.url),
        ("docs", f"{config.url}/docs"),
        ("data", str(config.data)),
        ("logs", str(config.logs)),
    ):
        console.print(f"  {name:5} {value}", markup=False)
    console.print()


def _show_demo(done: list[Job | Skipped], url: str, console: Console) -> None:
    jobs = [each for each in done if isinstance(each, Job)]
    console.print(demo_table(jobs, {each.kind: each.reason for each in done if isinstance(each, Skipped)}))
    for job in jobs:
        first, *rest = links(job, url)
        console.print(f"  {job.kind:20} {first}", markup=False)
        for link in rest:
            console.print(f"  {'':20} {link}", markup=False)
    console.print()
