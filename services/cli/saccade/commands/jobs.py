"""``saccade jobs``, ``show``, ``watch``, ``cancel``, ``retry``, ``delete`` and ``kinds``."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.console import Console

from saccade.address import connect
from saccade.client import Client
from saccade.commands.options import json_option, url_option
from saccade.problems import SaccadeApiError, SaccadeUnreachable
from saccade.tables import api_error_text, job_view, jobs_table, kinds_table, print_json
from saccade.watching import follow
from saccade_core.jobs import JobState

_WIDE = 200


@contextmanager
def _client(url: str | None) -> Generator[Client]:
    with connect(url) as client:
        client.require()
        yield client


def _console() -> Console:
    """As wide as the terminal, and wide enough for every line where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


@click.command()
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--label", metavar="NAME=VALUE", help="Only jobs with this label.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@json_option
@url_option
def jobs(*, state: str | None, kind: str | None, label: str | None, limit: int, as_json: bool, url: str | None) -> None:
    """List jobs, newest first."""
    with _client(url) as client:
        found = client.jobs(limit=limit, state=state, kind=kind, label=label)
    if as_json:
        print_json(_console(), [job.model_dump(mode="json") for job in found])
    elif found:
        _console().print(jobs_table(found))
    else:
        click.echo("No jobs.")


@click.command()
@click.argument("job")
@json_option
@url_option
def show(job: str, as_json: bool, url: str | None) -> None:
    """Show everything about a job."""
    with _client(url) as client:
        found = client.job(job)
        if as_json:
            print_json(_console(), found.model_dump(mode="json"))
        else:
            _console().print(job_view(found, client.url), crop=False)


@click.command()
@click.argument("job")
@url_option
def watch(job: str, url: str | None) -> None:
    """Follow a job until its end; Ctrl-C leaves it running. Status 1 unless it succeeds."""
    with _client(url) as client:
        ended = follow(client, client.job(job), Console(highlight=False), cancel=False)
        _console().print(job_view(ended, client.url), crop=False)
    sys.exit(0 if ended.state is JobState.SUCCEEDED else 1)


@click.command()
@click.argument("job")
@url_option
def cancel(job: str, url: str | None) -> None:
    """Cancel a job."""
    with _client(url) as client:
        ended = client.job(job).state.final
        client.cancel(job)
        state = client.job(job, wait=5).state
        click.echo(f"{job} had ended before: {state}" if ended else f"{job} {state}")


@click.command()
@click.argument("job")
@url_option
def retry(job: str, url: str | None) -> None:
    """Run a failed or cancelled job again."""
    with _client(url) as client:
        click.echo(f"{job} {client.retry(job).state}")


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@url_option
def delete(jobs: tuple[str, ...], url: str | None) -> None:
    """Delete ended jobs: their records, results and artefacts. One that has not ended is cancelled first by hand."""
    failed = False
    with _client(url) as client:
        for job in jobs:
            try:
                client.delete(job)
            except SaccadeUnreachable:
                raise
            except SaccadeApiError as error:
                failed = True
                click.echo(f"Error: {job}: {api_error_text(error)}", err=True)
            else:
                click.echo(f"{job} is deleted.")
    sys.exit(1 if failed else 0)


@click.command()
def kinds() -> None:
    """List the kinds of job."""
    from saccade_kinds import registry

    _console().print(kinds_table(registry.kinds().values()))
    click.echo("\nThe parameters of one: saccade run KIND --help")
