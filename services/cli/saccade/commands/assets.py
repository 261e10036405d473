"""``saccade assets``: the registered models, and bringing them to this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saccade.commands.options import json_option
from saccade.stack.errors import StackError
from saccade.tables import print_json, size
from saccade.weights import bring, needed_models
from saccade_core.errors import SaccadeError
from saccade_kinds import registry
from saccade_models.weights import ModelVersion, local_file, local_version, models, versions

_WIDE = 200


@dataclass(frozen=True, slots=True)
class _Line:
    """One version of one model; ``missing`` names the roles of files that are not here, or not with their bytes."""

    name: str
    version: str
    family: str
    licence: str
    stand_in: bool
    note: str
    bytes: int
    sha256: str
    source: str
    here: bool
    missing: list[str]
    files: dict[str, str]


@click.group()
def assets() -> None:
    """List the models that kinds of job use, and bring them to this machine."""


@assets.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List every registered model: its versions, and which of them are here."""
    lines = [_line(version) for model in models().values() for version in model.versions]
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=_WIDE)
    if as_json:
        print_json(console, [asdict(line) for line in lines])
    else:
        console.print(_table(lines))


@assets.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def pull(names: tuple[str, ...]) -> None:
    """Bring models (NAME or NAME@VERSION; none: all that the samples of the installed kinds need).

    They come from SACCADE_ASSETS_MIRROR (a folder or an http(s) address) where that is set, else from their official
    addresses (the mirror replaces them), and each file's checksum must be the registered one.
    """
    for name in names:
        versions(name)  # a name that is none ends it before anything is brought
    failures = [failure for name in names or needed_models(registry.kinds()) for failure in _pull(name)]
    for failure in failures:
        click.echo(f"Error: {failure}", err=True)
    sys.exit(1 if failures else 0)


def _pull(name: str) -> Iterator[str]:
    """Bring one model and say so; what went wrong."""
    try:
        found = bring(name, click.echo)
    except (SaccadeError, StackError) as error:
        yield f"{name}: {error}"
    else:
        stand_in = ", a stand-in for the official file" if found.facts["stand_in"] else ""
        click.echo(f"{found.name}@{found.version} is here{stand_in}: {found.path}")


def _line(version: ModelVersion) -> _Line:
    found = local_version(version)
    files = {role: str(path) for role, file in version.files.items() if (path := local_file(file)) is not None}
    absent = [role for role in version.files if role not in files]
    if found is not None:
        files = {role: str(path) for role, path in found.files.items()}
    elif version.exported:
        absent.append("onnx")
    return _Line(
        name=version.name,
        version=version.version,
        family=version.family,
        licence=version.licence,
        stand_in=version.stand_in,
        note=version.note,
        bytes=version.bytes,
        sha256=version.sha256,
        source=version.source,
        here=found is not None,
        missing=absent,
        files=files,
    )


def _table(lines: list[_Line]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("MODEL", "VERSION", "SIZE", "HERE"):
        table.add_column(column, no_wrap=True)
    table.add_column("LICENCE", overflow="fold")
    table.add_column("WHERE", overflow="fold")
    for line in lines:
        state = "yes" if line.here else "not exported" if line.missing == ["onnx"] else "no"
        here = Text(state, style="green" if line.here else "yellow")
        version = f"{line.version} (stand-in)" if line.stand_in else line.version
        file = line.files.get("weights", line.source)
        table.add_row(line.name, version, size(line.bytes), here, Text(line.licence), Text(file))
    return table
