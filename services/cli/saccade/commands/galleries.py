"""``saccade galleries``: face galleries and the people in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saccade.address import connect
from saccade.client import Client
from saccade.commands.options import json_option, url_option
from saccade.problems import SaccadeApiError
from saccade.tables import print_json
from saccade_core.galleries import RemovalReceipt


@click.group(invoke_without_command=True)
@json_option
@url_option
@click.pass_context
def galleries(context: click.Context, *, as_json: bool, url: str | None) -> None:
    """List face galleries; make, show and delete them. A job that enrols makes its gallery by itself."""
    if context.invoked_subcommand is not None:
        if as_json or url:
            raise click.UsageError("Give --json and --url after the subcommand.")
        return
    with connect(url) as client:
        found = client.galleries.list()
    if as_json:
        print_json(_console(), [each.model_dump(mode="json") for each in found])
    elif found:
        columns = ("GALLERY", "PEOPLE", "FACES", "NETWORK")
        _table(columns, ((each.name, str(each.people), str(each.faces), each.model or "") for each in found))
    else:
        click.echo("No galleries.")


@galleries.command()
@click.argument("name")
@url_option
def create(name: str, url: str | None) -> None:
    """Make an empty gallery."""
    with connect(url) as client:
        click.echo(f"{client.galleries.create(name).name} is made.")


@galleries.command()
@click.argument("name")
@json_option
@url_option
def show(name: str, as_json: bool, url: str | None) -> None:
    """Show how much is in a gallery, and of which network."""
    with connect(url) as client:
        found = client.galleries.get(name)
    if as_json:
        print_json(_console(), found.model_dump(mode="json"))
    else:
        network = f"{found.model}, {found.dimensions} numbers a face" if found.model else "none yet"
        click.echo(f"{found.name}: {found.people} people, {found.faces} faces, revision {found.revision}")
        click.echo(f"network: {network}")


@galleries.command()
@click.argument("name")
@json_option
@url_option
def people(name: str, as_json: bool, url: str | None) -> None:
    """List the people of a gallery."""
    with connect(url) as client:
        found = client.galleries.people(name)
    if as_json:
        print_json(_console(), [each.model_dump(mode="json") for each in found])
    elif found:
        made = "%Y-%m-%d %H:%M"
        _table(("PERSON", "FACES", "SINCE"), ((p.name, str(p.faces), p.created_at.strftime(made)) for p in found))
    else:
        click.echo("Nobody.")


@galleries.command()
@click.argument("name")
@click.option("--person", help="Only this person, with all faces.")
@click.option("--face", metavar="FACE", help="Only this face (face_...).")
@json_option
@url_option
def delete(*, name: str, person: str | None, face: str | None, as_json: bool, url: str | None) -> None:
    """Delete a gallery, a person or a face, with pictures, embeddings and uploads; print the receipt."""
    if person and face:
        raise click.UsageError("Give --person or --face, not both.")
    with connect(url) as client:
        try:
            receipt = client.galleries.delete(name, person=person, face=face)
        except SaccadeApiError as error:
            if error.status == 404 and person and (meant := _similar(client, name, person)):
                raise click.ClickException(f"{error.message} Did you mean {meant!r}?") from error
            raise
    if as_json:
        print_json(_console(), receipt.model_dump(mode="json"))
    else:
        _console().print(receipt_text(receipt))


def _similar(client: Client, gallery: str, person: str) -> str | None:
    """The gallery's person whose name differs least, where it differs little; None also without such a gallery."""
    try:
        names = {each.name.casefold(): each.name for each in client.galleries.people(gallery)}
    except SaccadeApiError:
        return None
    close = difflib.get_close_matches(person.casefold(), names, n=1, cutoff=0.75)
    return names[close[0]] if close else None


def receipt_text(receipt: RemovalReceipt) -> Text:
    """The receipt in lines, with the command that removes the jobs that are left."""
    gone = receipt.removed
    who = receipt.person or "everybody"
    jobs = [kept.what for kept in receipt.kept if kept.what.startswith("job_")]
    counts = f"{gone.faces} faces, {gone.embeddings} embeddings, {gone.crops} crops, {gone.photos} photos"
    lines = [
        f"Removed {who} from gallery {receipt.gallery}, now revision {receipt.revision}:",
        f"  {counts}, {len(gone.files)} uploaded files",
        *(f"  {file}" for file in gone.files),
        *(["Kept:"] if receipt.kept else []),
        *(f"  {kept.what}: {kept.why}" for kept in receipt.kept),
        *([f"Delete these jobs with: saccade delete {' '.join(jobs)}"] if jobs else []),
        f"As of {receipt.at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    return Text("\n".join(lines))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table)


def _console() -> Console:
    return Console(highlight=False, width=160, soft_wrap=True)
