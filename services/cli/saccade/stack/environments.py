"""The Python of each pool: an environment of its own, made from the lock file when first needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from saccade.stack.errors import StackError
from saccade_core.kind import Pool


def workspace() -> Path | None:
    """The checkout that this package runs from, or None where it was installed without one."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "uv.lock").is_file() else None


def uv() -> str | None:
    """Path of uv: from PATH, else the one that deploy/install.sh made."""
    root = workspace()
    folders = [os.environ.get("PATH", "")] + ([str(root / ".venvs" / "uv" / "bin")] if root else [])
    return shutil.which("uv", path=os.pathsep.join(folders))


def environment(pool: Pool) -> Path | None:
    """Folder of the pool's environment, whether it is there or not; None outside of a checkout."""
    root = workspace()
    return root / ".venvs" / pool if root else None


def chosen_python(pool: Pool) -> Path | None:
    """The Python that ``SACCADE_POOL_PYTHON_<POOL>`` names for the pool's workers, in place of an environment here."""
    chosen = os.environ.get(f"SACCADE_POOL_PYTHON_{pool.upper()}")
    return Path(chosen) if chosen else None


def pool_pythons(pools: Iterable[Pool], say: Callable[[str], None]) -> dict[Pool, Path]:
    """The Python that each pool's workers run on; makes or refreshes the environments."""
    return {pool: _pool_python(pool, say) for pool in pools}


def _pool_python(pool: Pool, say: Callable[[str], None]) -> Path:
    if chosen := chosen_python(pool):
        return chosen
    root, folder, program = workspace(), environment(pool), uv()
    if root is None or folder is None:
        raise StackError(f"Name the Python of pool {pool} in SACCADE_POOL_PYTHON_{pool.upper()}.")
    if program is None:
        raise StackError("uv is not installed; `make install` brings it.")
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"making the environment of pool {pool} in {folder} (once; takes minutes)")
    _sync(program, root, folder, pool)
    return python


def _sync(program: str, root: Path, folder: Path, pool: Pool) -> None:
    """Make the environment what the lock file says; takes a tenth of a second when it is that already."""
    command = [program, "sync", "--frozen", "--no-dev", "--package", "saccade-worker", "--extra", pool]
    if pool == "keras":  # which has TensorFlow, as the model server needs it
        command += ["--package", "saccade-model-server"]
    command += ["--quiet", "--python", getattr(sys, "_base_executable", sys.executable)]
    env = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | {"UV_PROJECT_ENVIRONMENT": str(folder)}
    done = subprocess.run(
        command, cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(f"uv could not make the environment of pool {pool}:\n{done.stderr.strip()[-2000:]}")
