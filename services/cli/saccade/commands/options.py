"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click

from saccade.stack.state import DATA_FOLDER

F = TypeVar("F", bound=Any)


def url_option(command: F) -> F:
    """``--url``: where the API is."""
    text = "Address of the API  [default: SACCADE_URL, else the stack of this folder, else http://127.0.0.1:8000]"
    return click.option("--url", help=text)(command)


def json_option(command: F) -> F:
    """``--json``: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print the API's own JSON.")(command)


def data_option(command: F) -> F:
    """``--data-dir``: where the stack keeps everything."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(DATA_FOLDER),
        show_default=True,
        help="Folder of records, bytes, queue and logs.",
    )(command)
