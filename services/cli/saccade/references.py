"""What a user names as a job's inputs, as the request's references."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from saccade_core.kind import Kind

_REFERENCE = re.compile(r"(https?://|s3://|data:|file_[0-9A-Za-z]+$|job_[0-9A-Za-z]+/)")


def is_reference(text: str) -> bool:
    """Whether the API understands the text as it is; ``./file_1`` is always a local file."""
    return _REFERENCE.match(text) is not None


def assign(kind: Kind, files: Sequence[str], named: Sequence[str]) -> dict[str, list[str]]:
    """Which file goes to which input: those ``named`` as NAME=FILE first, then ``files`` in the inputs' order, without
    the optional inputs that do not take the file's type; an input that takes many takes all that are left. Raises
    click.UsageError."""
    found: dict[str, list[str]] = {}
    for text in named:
        name, separator, value = text.partition("=")
        if not separator or name not in kind.inputs:
            raise click.UsageError(f"--input {text!r} is not NAME=FILE with a name of: {_names(kind)}.")
        found.setdefault(name, []).append(value)
    left = list(files)
    for name, spec in kind.inputs.items():
        if name in found or not left or (not spec.required and not spec.takes(_type_of(left[0]))):
            continue
        found[name], left = (left, []) if spec.many else ([left[0]], left[1:])
    if left:
        raise click.UsageError(f"{kind.name} takes no more files than: {_names(kind)}. Left over: {', '.join(left)}")
    missing = [name for name, spec in kind.inputs.items() if spec.required and name not in found]
    if missing:
        raise click.UsageError(f"{kind.name} also needs: {', '.join(missing)}.")
    for name, values in found.items():
        if len(values) > 1 and not kind.inputs[name].many:
            raise click.UsageError(f"Input {name} takes one file, not {len(values)}.")
    _check_local(value for values in found.values() for value in values)
    return found


def _type_of(text: str) -> str:
    """The media type by the file's name, as far as it tells."""
    return mimetypes.guess_type(text)[0] or "application/octet-stream"


def _check_local(values: Iterable[str]) -> None:
    """Refuse files that are not there before anything is uploaded."""
    for value in values:
        if not is_reference(value) and not Path(value).is_file():
            raise click.UsageError(f"{value} is not a file here, and no URL, s3://, file_... or job_.../name either.")


def resolve(kind: Kind, assigned: dict[str, list[str]], upload: Callable[[Path], str]) -> dict[str, Any]:
    """The request's ``inputs``: local files are uploaded by ``upload``, which gives their ids."""
    inputs: dict[str, Any] = {}
    for name, values in assigned.items():
        sent = [value if is_reference(value) else upload(Path(value)) for value in values]
        inputs[name] = sent if kind.inputs[name].many else sent[0]
    return inputs


def _names(kind: Kind) -> str:
    return ", ".join(f"{n} (any number)" if spec.many else n for n, spec in kind.inputs.items()) or "none"
