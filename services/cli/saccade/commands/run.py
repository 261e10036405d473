"""``saccade run KIND``: one command for each kind of job, made from the registry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

from saccade.address import connect
from saccade.client import Client
from saccade.commands.options import json_option, url_option
from saccade.flags import Flag, chosen, flags
from saccade.references import assign, resolve
from saccade.results import result_view
from saccade.tables import print_json, problem_text, size
from saccade.watching import follow
from saccade_core.errors import UnknownKind
from saccade_core.jobs import Job, JobState
from saccade_core.kind import Kind
from saccade_core.rules import message_of
from saccade_kinds import registry

_SHOWN_FILES = 5


class Kinds(click.Group):
    """The kinds of the registry as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All kinds."""
        del ctx
        return list(registry.kinds())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one kind."""
        del ctx
        try:
            return command(registry.get(cmd_name))
        except UnknownKind as error:
            raise click.UsageError(error.message) from None


@click.group(cls=Kinds, subcommand_metavar="KIND [FILE]... [--PARAMETER VALUE]...")
def run() -> None:
    """Run one job: submit it, show its progress, print its result and save its artefacts.

    A FILE is a local file, a URL, s3://bucket/key, file_... or job_.../artefact.
    """


def command(kind: Kind) -> click.Command:
    """The click command of a kind: its parameters as flags, and the options that every kind has."""
    own = flags(kind.params)

    def callback(files: tuple[str, ...], **values: Any) -> None:
        _run(kind, own, files, values)

    # Names may be written as in the API (--every_n) or as usual on a command line (--every-n).
    settings: dict[str, Any] = {"token_normalize_func": _hyphens}
    made = click.Command(
        kind.name, callback=callback, help=_help(kind), short_help=kind.summary, context_settings=settings
    )
    made.params = [click.Argument(["files"], nargs=-1, metavar="[FILE]..."), *(flag.option for flag in own)]
    return _common(made)


def _common(made: click.Command) -> click.Command:
    options = [
        click.option("--input", "named", multiple=True, metavar="NAME=FILE", help="A file for the input of that name."),
        click.option("--priority", type=click.Choice(["interactive", "bulk"]), help="Which queue of the pool."),
        click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label to find the job by."),
        click.option(
            "--save",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Save artefacts in DIR  [default: saccade-out/JOB]",
        ),
        click.option("--no-save", is_flag=True, help="Save no artefacts."),
        click.option("--detach", is_flag=True, help="Print the job's id and do not wait."),
        json_option,
        url_option,
    ]
    for option in options:
        made = option(made)
    return made


def _run(kind: Kind, own: list[Flag], files: tuple[str, ...], values: dict[str, Any]) -> None:
    params = chosen(own, values)
    _check(kind, params)
    assigned = assign(kind, files, values["named"])
    options: dict[str, Any] = {"labels": _labels(values["labels"])}
    if values["priority"]:
        options["priority"] = values["priority"]
    out, console = Console(highlight=False), Console(stderr=True, highlight=False)
    with connect(values["url"]) as client:
        client.require()

        def upload(path: Path) -> str:
            with console.status(f"uploading {path.name} ({size(path.stat().st_size)})"):
                return client.upload(path).id

        job = client.submit(kind.name, resolve(kind, assigned, upload), params, **options)
        if values["detach"]:
            click.echo(job.id)
            return
        job = follow(client, job, console, cancel=True)
        if values["as_json"]:
            print_json(out, job.model_dump(mode="json"))
        else:
            _print(job, out, console)
        if job.state is JobState.SUCCEEDED and not values["no_save"]:
            _save(client, job, values["save"] or Path("saccade-out") / job.id, console)
    sys.exit(0 if job.state is JobState.SUCCEEDED else 1)


def _hyphens(text: str) -> str:
    return text.replace("_", "-")


def _check(kind: Kind, params: dict[str, Any]) -> None:
    """Refuse wrong parameters before anything is uploaded."""
    try:
        registry.validate_params(kind, params)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'params'}: {message_of(e, kind.params)}" for e in error.errors()]
        raise click.UsageError("\n".join(lines)) from None


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, separator, _ in pairs if not (name and separator)]:
        raise click.UsageError(f"--label {wrong[0]!r} is not NAME=VALUE.")
    return {name: value for name, _, value in pairs}


def _print(job: Job, out: Console, console: Console) -> None:
    if job.error:
        console.print(problem_text(job.error))
        console.print(f"See more with: saccade show {job.id}")
    elif job.state is JobState.CANCELLED:
        console.print(f"{job.id} was cancelled.")
    elif job.result is not None:
        out.print(result_view(job.result))


def _save(client: Client, job: Job, folder: Path, console: Console) -> None:
    if not job.artifacts:
        return
    with console.status(f"saving {len(job.artifacts)} artefacts"):
        saved = client.download_all(job, folder)
    for path in saved[:_SHOWN_FILES]:
        console.print(f"saved {path}", markup=False, soft_wrap=True)
    if len(saved) > _SHOWN_FILES:
        console.print(f"saved {len(saved) - _SHOWN_FILES} more in {folder}", markup=False, soft_wrap=True)


def _help(kind: Kind) -> str:
    lines = [kind.summary, "", "\b", "Inputs, in the order of FILE:"]
    for name, spec in kind.inputs.items():
        marks = ("" if spec.required else ", optional") + (", any number" if spec.many else "")
        lines.append(f"  {name}{marks}: {spec.description} ({', '.join(spec.accepts)})")
    if kind.artifacts:
        lines += ["", "\b", "Artefacts:", *(f"  {a.name}: {a.description}" for a in kind.artifacts)]
    return "\n".join(lines)
