"""``saccade doctor``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saccade.checks import Finding, examine
from saccade.commands.options import data_option

_STYLES = {"ok": "green", "missing": "bold red", "optional": "yellow"}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the stack will listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Its port.")
@data_option
def doctor(host: str, port: int, data_dir: Path) -> None:
    """Check that this machine has what the stack needs; status 1 where something required is missing."""
    findings = examine(data_dir, host, port)
    Console(highlight=False).print(table(findings))
    sys.exit(1 if any(f.status == "missing" for f in findings) else 0)


def table(findings: list[Finding]) -> Table:
    """One line for each finding, with what mends it."""
    made = Table(box=None, show_header=False, pad_edge=False)
    for column in ("status", "what", "found", "mend"):
        made.add_column(column, overflow="fold", no_wrap=column in {"status", "what"})
    for f in findings:
        made.add_row(Text(f.status, style=_STYLES[f.status]), Text(f.what), Text(f.found), Text(f.mend, style="bold"))
    return made
