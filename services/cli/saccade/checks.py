"""What ``saccade doctor`` looks at; each check tells what it found and the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saccade.address import find_url
from saccade.client import Client
from saccade.stack.config import check_port
from saccade.stack.environments import chosen_python, environment, uv, workspace
from saccade.stack.errors import StackError
from saccade.stack.state import read_state
from saccade.weights import needed_models
from saccade_core.kind import POOLS, Pool
from saccade_kinds import registry
from saccade_models.weights import local_version, models

_FREE_BYTES = 2 << 30

Status = Literal["ok", "missing", "optional"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``optional`` is missing and needed by no more than some kinds or pools."""

    what: str
    status: Status
    found: str
    mend: str = ""


def examine(data: Path, host: str, port: int) -> list[Finding]:
    """All checks, in the order in which they should be mended."""
    return [
        _python(),
        _uv(),
        _program("redis-server", "redis-server"),
        _program("tesseract", "tesseract-ocr"),
        _languages(),
        _program("ffmpeg", "ffmpeg"),
        *_libraries({"EGL": "libegl1", "GLESv2": "libgles2"}),
        *_environments(POOLS),
        _models(),
        _writable(data),
        _space(data),
        _stack(data, host, port),
    ]


def _finding(what: str, good: bool, found: str, mend: str, *, optional: bool = False) -> Finding:
    if good:
        return Finding(what, "ok", found)
    return Finding(what, "optional" if optional else "missing", found, mend)


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return _finding("python 3.11 to 3.13", good, sys.version.split()[0], "apt-get install python3.13 && make install")


def _uv() -> Finding:
    found = uv()
    return _finding("uv", found is not None or workspace() is None, found or "not needed", "make install")


def _program(name: str, package: str) -> Finding:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    return _finding(name, found is not None, found or "not found", f"apt-get install {package}")


def _languages() -> Finding:
    names: list[str] = []
    if shutil.which("tesseract"):
        done = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
        names = [line for line in done.stdout.splitlines()[1:] if line]
    return _finding(
        "tesseract languages", "eng" in names, " ".join(names) or "none", "apt-get install tesseract-ocr-eng"
    )


def _libraries(packages: dict[str, str]) -> Iterable[Finding]:
    for name, package in packages.items():
        found = find_library(name)
        mend = f"apt-get install {package}"
        yield _finding(f"lib{name} (landmarks)", found is not None, found or "not found", mend, optional=True)


def _environments(pools: Iterable[Pool]) -> Iterable[Finding]:
    for pool in pools:
        folder = environment(pool)
        python = chosen_python(pool) or (folder / "bin" / "python" if folder else None)
        good = python is not None and python.exists()
        mend = f"saccade up --workers {pool}=1 makes it"
        yield _finding(f"environment of {pool}", good, str(python) if good else "not made yet", mend, optional=True)


def _models() -> Finding:
    """Every model that a kind's own sample needs should be here; the others are for those who ask for them."""
    missing = [
        name for name, model in models().items() if not any(local_version(version) for version in model.versions)
    ]
    good = not any(name.split("@")[0] in missing for name in needed_models(registry.kinds()))
    found = f"{len(models()) - len(missing)} of {len(models())} here"
    if not missing:
        return Finding("models", "ok", found)
    command = f"saccade assets pull {' '.join(missing)}"
    return Finding("models", "ok" if good else "optional", f"{found}; missing: {', '.join(missing)}", command)


def _writable(data: Path) -> Finding:
    folder = _nearest(data)
    return _finding("data folder", os.access(folder, os.W_OK), str(data), f"chown {os.getuid()} {folder}")


def _space(data: Path) -> Finding:
    free = shutil.disk_usage(_nearest(data)).free
    mend = "free some space, or choose another --data-dir"
    return _finding("free disk, 2 GB", free >= _FREE_BYTES, f"{free / 1e9:.1f} GB", mend)


def _stack(data: Path, host: str, port: int) -> Finding:
    """A running stack is well; else the port has to be free for one."""
    url = str(state.url) if (state := read_state(data)) else find_url()
    with Client(url) as client:
        if client.ready():
            return Finding("stack", "ok", f"runs at {url}")
    try:
        check_port(host, port)
    except StackError as error:
        return Finding("stack", "missing", f"not running, and port {port} is in use", str(error))
    return Finding("stack", "optional", f"not running; port {port} is free", "saccade up")


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that is there."""
    absolute = folder.absolute()
    return next(f for f in [absolute, *absolute.parents] if f.exists())
