"""``saccade models``: trained models, their versions and aliases."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console, RenderableType

from saccade.address import connect
from saccade.commands.options import json_option, url_option
from saccade.model_tables import comparison_table, model_view, models_table, predictions_table, version_view
from saccade.model_tables import versions_table as table_of_versions
from saccade.tables import print_json
from saccade_core.registry_views import ModelDetail
from saccade_core.trained import PRODUCTION, Wanted, read_wanted

_MOST_ROWS = 10_000

alias_option = click.option("--alias", default=PRODUCTION, show_default=True, help="Which alias.")


class _Reference(click.ParamType[Wanted]):
    """``churn``, ``churn@3`` or ``churn@production``."""

    name = "NAME[@VERSION]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Wanted:
        """The model and version that are meant."""
        wanted = read_wanted(value)
        if wanted is None:
            says = f"{value!r} can be no model's name; one is called as in churn, churn@3, churn@{PRODUCTION}."
            self.fail(says, param, ctx)
        return wanted


@click.group(invoke_without_command=True)
@json_option
@url_option
@click.pass_context
def models(context: click.Context, *, as_json: bool, url: str | None) -> None:
    """List models; show, compare, promote, roll back, download, delete them, and predict with them."""
    if context.invoked_subcommand is not None:
        if as_json or url:
            raise click.UsageError("Give --json and --url after the subcommand.")
        return
    with connect(url) as client:
        found = client.models.list()
    _print([each.model_dump(mode="json") for each in found] if as_json else models_table(found))


@models.command()
@click.argument("model", type=_Reference(), metavar="NAME[@VERSION]")
@json_option
@url_option
def show(model: Wanted, as_json: bool, url: str | None) -> None:
    """Show a model, or one version of it: figures, checks, what it came from, files."""
    at = model.version or model.alias
    with connect(url) as client:
        if at is None:
            found = client.models.get(model.name)
            _print(found.model_dump(mode="json") if as_json else model_view(found))
        else:
            version = client.models.version(model.name, at)
            _print(version.model_dump(mode="json") if as_json else version_view(model.name, version))


@models.command()
@click.argument("name")
@json_option
@url_option
def versions(name: str, as_json: bool, url: str | None) -> None:
    """List the versions of a trained model, newest first, with their figures."""
    with connect(url) as client:
        found = client.models.versions(name)
    _print([each.model_dump(mode="json") for each in found] if as_json else table_of_versions(found))


@models.command()
@click.argument("name")
@click.argument("version", nargs=-1, required=True)
@json_option
@url_option
def compare(name: str, version: tuple[str, ...], as_json: bool, url: str | None) -> None:
    """Show versions side by side: figures, checks, params that differ, data."""
    with connect(url) as client:
        found = client.models.compare(name, version)
    _print(found.model_dump(mode="json") if as_json else comparison_table(found))


@models.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@alias_option
@json_option
@url_option
def promote(*, name: str, version: int, alias: str, as_json: bool, url: str | None) -> None:
    """Let an alias stand for a version from now on; it is loaded first, where a model server is set up."""
    with connect(url) as client:
        set_to = client.models.promote(name, version, alias=alias)
    _print(set_to.model_dump(mode="json") if as_json else f"{name}@{set_to.alias} is version {set_to.version} now.")


@models.command()
@click.argument("name")
@alias_option
@json_option
@url_option
def rollback(*, name: str, alias: str, as_json: bool, url: str | None) -> None:
    """Set an alias back to the version that it stood for before."""
    with connect(url) as client:
        set_to = client.models.rollback(name, alias=alias)
    _print(set_to.model_dump(mode="json") if as_json else f"{name}@{set_to.alias} is version {set_to.version} again.")


@models.command()
@click.argument("model", type=_Reference(), metavar="NAME[@VERSION]")
@click.option("--save", type=click.Path(file_okay=False, path_type=Path), help="Folder  [default: NAME-VERSION]")
@json_option
@url_option
def download(model: Wanted, save: Path | None, as_json: bool, url: str | None) -> None:
    """Save all files of a version: model.h5, model.keras, saved_model/, ...; without one, what the name stands for."""
    with connect(url) as client:
        at = model.version or model.alias or _stands_for(client.models.get(model.name))
        version = client.models.version(model.name, at).version
        folder = save or Path(f"{model.name}-{version}")
        files = client.models.download(model.name, version, folder)
    _print([str(file) for file in files] if as_json else "\n".join(map(str, files)))


@models.command()
@click.argument("model", type=_Reference(), metavar="NAME[@VERSION]")
@click.option("--yes", is_flag=True, help="Delete a whole model without asking.")
@url_option
def delete(model: Wanted, yes: bool, url: str | None) -> None:
    """Delete a model with all versions; NAME@3 only that version, NAME@ALIAS only the alias. The numbers of what is
    deleted are not given again."""
    whole = model.version is None and model.alias is None
    if whole and not yes:
        click.confirm(f"Delete {model.name} with all its versions and aliases?", abort=True)
    with connect(url) as client:
        client.models.delete(model.name, version=model.version, alias=model.alias)
    shown = model.name if whole else f"{model.name}@{model.version or model.alias}"
    click.echo(f"{shown} is deleted.")


@models.command()
@click.argument("model", type=_Reference(), metavar="NAME[@VERSION]")
@click.option(
    "--rows",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows as they were in the training's table: a .json list of objects, or a .csv file with a header.",
)
@json_option
@url_option
def predict(model: Wanted, rows: Path, as_json: bool, url: str | None) -> None:
    """Predict raw rows with a served model."""
    given = read_rows(rows)
    with connect(url) as client:
        answer = client.models.predict(model.name, given, version=model.version, alias=model.alias)
    _print(answer if as_json else predictions_table(answer))


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSON or CSV file; an empty cell is a missing value. Raises click.ClickException."""
    try:
        text = file.read_text("utf-8-sig")
        if file.suffix.lower() == ".csv":
            lines = csv.DictReader(text.splitlines(), strict=True)
            found: Any = [{name: value or None for name, value in row.items() if name is not None} for row in lines]
        else:
            found = json.loads(text)
    except (OSError, ValueError, csv.Error) as error:
        raise click.ClickException(f"{file.name} cannot be read as rows: {error}") from error
    if isinstance(found, dict):
        found = cast("dict[str, Any]", found).get("rows")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in cast("list[Any]", found)) or not found:
        raise click.ClickException(f"{file.name} holds no rows: a list of objects, or lines under a header.")
    if len(cast("list[Any]", found)) > _MOST_ROWS:
        raise click.ClickException(
            f"{file.name} has {len(cast('list[Any]', found))} rows; for more than {_MOST_ROWS} submit a job."
        )
    return cast("list[dict[str, Any]]", found)


def _stands_for(found: ModelDetail) -> int | str:
    """What a name alone stands for: production where that is set, else the newest version."""
    aliases = {alias.alias: alias.version for alias in found.aliases}
    if PRODUCTION in aliases:
        return aliases[PRODUCTION]
    if not found.versions:
        raise click.ClickException(f"{found.name} is registered weights: saccade assets pull {found.name}")
    return found.versions[0].version


def _print(shown: RenderableType | list[Any] | dict[str, Any]) -> None:
    """JSON for programs, or what is for people: as wide as the terminal, or wide enough where there is none."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=200)
    if isinstance(shown, list | dict):
        print_json(console, shown)
    else:
        console.print(shown, soft_wrap=isinstance(shown, str), markup=False)
