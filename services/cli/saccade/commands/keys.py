"""``saccade keys``: API keys, straight in the records, so that the first can be made before the API serves anyone."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saccade.commands.options import data_option
from saccade.stack.config import database_url
from saccade.stack.state import find_data
from saccade_core.jobs import utc
from saccade_core.records import keys as records
from saccade_core.records.database import Database


@contextmanager
def _database(data_dir: Path) -> Generator[Database]:
    """The database of ``SACCADE_DATABASE_URL``, else of the data folder here or in a parent folder."""
    data = data_dir if data_dir.is_absolute() or data_dir.is_dir() else find_data(Path.cwd()) or data_dir
    os.umask(0o077)
    database = Database(os.environ.get("SACCADE_DATABASE_URL") or database_url(data.absolute()))
    try:
        database.migrate()
        yield database
    finally:
        database.close()


@click.group()
def keys() -> None:
    """Make, list and revoke API keys. From the first key on, every request needs one."""


@keys.command()
@click.option(
    "--project",
    default="default",
    show_default=True,
    help="Whose files and jobs the key sees: lower-case letters, digits, - and _.",
)
@click.option("--role", type=click.Choice(records.ROLES), default="submit", show_default=True)
@click.option("--name", default="", help="A note on what the key is for.")
@data_option
def create(project: str, role: records.Role, name: str, data_dir: Path) -> None:
    """Make a key and print its secret, which is shown this once."""
    with _database(data_dir) as database:
        row, secret = records.make_key(database, project=project, role=role, name=name)
    click.echo(f"{row.id} may {role} in project {project}. Its secret, shown this once:", err=True)
    click.echo(secret)


@keys.command(name="list")
@data_option
def list_(data_dir: Path) -> None:
    """List all keys, without their secrets."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("KEY", "PROJECT", "ROLE", "NAME", "MADE", "REVOKED"):
        table.add_column(column, no_wrap=True)
    with _database(data_dir) as database:
        for row in records.list_keys(database):
            times = [f"{when:%Y-%m-%d %H:%M}" if (when := utc(t)) else "" for t in (row.created_at, row.revoked_at)]
            table.add_row(row.id, Text(row.project), row.role, Text(row.name), *times)
    Console(highlight=False, width=160).print(table)  # ids are there to be copied whole


@keys.command()
@click.argument("key")
@data_option
def revoke(key: str, data_dir: Path) -> None:
    """End the use of a key, named by its id (key_...)."""
    with _database(data_dir) as database:
        records.revoke_key(database, key)
    click.echo(f"{key} is revoked.")
