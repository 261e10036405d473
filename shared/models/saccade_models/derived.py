"""Forms of registered weights that are made here, once: YOLO's ``.pt`` as ONNX.

A form lies in the cache folder under ``derived/<sha256 of the weights>/<EXPORTER>/``: ``model.onnx``, and beside it
``model.json`` with its checksum, what made it and from what. Light: making one is saccade_models.export, in a process
of its own that has torch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from saccade_core.assets import cache_folder, file_lock, is_right
from saccade_core.errors import EngineFailed

#: The recipe; another one gets another name, so that old forms are not taken for new ones.
EXPORTER = "onnx-1"
FORM, RECORD = "model.onnx", "model.json"

_EXPORT_LIMIT_S = 900.0


class FormRecord(BaseModel):
    """``model.json``."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    made_from: str = Field(pattern="^[0-9a-f]{64}$", description="sha256 of the weights")
    made_by: dict[str, str] = Field(description="Versions of the libraries that made it")


@dataclass(frozen=True, slots=True)
class Form:
    """A derived form that is here, its bytes checked."""

    path: Path
    sha256: str


def folder(weights_sha256: str) -> Path:
    """Where the form of these weights is, or would be."""
    return cache_folder() / "derived" / weights_sha256 / EXPORTER


def find(weights_sha256: str) -> Form | None:
    """The form of these weights where it is here with the bytes that its record states."""
    there = folder(weights_sha256)
    try:
        record = read_record((there / RECORD).read_bytes(), weights_sha256)
    except OSError:
        return None
    if record is None or not is_right(there / FORM, record.sha256, record.bytes):
        return None
    return Form(there / FORM, record.sha256)


def read_record(data: bytes, weights_sha256: str) -> FormRecord | None:
    """``model.json`` as a record of a form of these weights; None where it is not one."""
    try:
        record = FormRecord.model_validate_json(data)
    except ValidationError:
        return None
    return record if record.made_from == weights_sha256 else None


@contextmanager
def making(weights_sha256: str) -> Generator[Path]:
    """An empty folder in which to make the form of these weights, on the disk of its place; one process at a time.

    Another process may have made the form while this one waited for its turn.
    """
    work = folder(weights_sha256).with_name(f"{EXPORTER}.making")
    with file_lock(folder(weights_sha256)):
        shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def put(made: Path, weights_sha256: str, made_by: dict[str, str]) -> Form:
    """Move a form that was just made in the folder of ``making`` to its place."""
    with made.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    record = FormRecord(sha256=sha256, bytes=made.stat().st_size, made_from=weights_sha256, made_by=made_by)
    record_file = made.with_suffix(".json")
    record_file.write_text(record.model_dump_json(indent=1), "utf-8")
    return place(made, record_file, record)


def place(made: Path, record_file: Path, record: FormRecord) -> Form:
    """Move a form and its record to their place, the record last: a form without one is none."""
    target = folder(record.made_from)
    target.mkdir(parents=True, exist_ok=True)
    made.replace(target / FORM)
    record_file.replace(target / RECORD)
    return Form(target / FORM, record.sha256)


def torch_python() -> Path:
    """The Python that ``SACCADE_POOL_PYTHON_TORCH`` names, else this one."""
    return Path(os.environ.get("SACCADE_POOL_PYTHON_TORCH") or sys.executable)


def export(name: str, say: Callable[[str], None], python: Callable[[], Path]) -> None:
    """Make the form of a registered model (``name@version``) whose weights are here, in a process that has torch.

    Raises errors.EngineFailed.
    """
    command = [str(python()), "-m", "saccade_models.export", name]
    say(f"{name}: exporting to ONNX (once; takes seconds)")
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_EXPORT_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineFailed(f"The export of {name} did not run: {type(error).__name__}.") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise EngineFailed(f"The export of {name} failed: {' '.join(last)[:500]}")
