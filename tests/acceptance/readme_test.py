"""Every command and program of the README, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.stack import Stack

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
_DEFAULT_URL = "http://127.0.0.1:8000"
#: `make run` and `make test` are what brings a reader here: .ci/run is the second, and the stack fixture starts what
#: the first starts. `export PATH` is a new terminal's business.
_ELSEWHERE = ("make run", "make test", "export PATH")


def _blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def _shell() -> str:
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    return "\n".join(line for line in lines if not line.startswith((*_ELSEWHERE, "saccade keys")))


def test_shell_commands(stack: Stack, tmp_path: Path) -> None:
    """In one shell, in the order of the page; the first failure ends it."""
    commands = f"set -eux\ncd {ROOT}\n{_shell().replace(_DEFAULT_URL, stack.url)}"
    assert commands.count("saccade run") == 8 and commands.count("curl") == 2
    commands = re.sub(r"--save (\w+)-out", rf"--save {tmp_path}/\1", commands).replace(
        "saccade run read_text", f"saccade run read_text --save {tmp_path}/text"
    )
    commands = commands.replace("saccade run edit_image", f"saccade run edit_image --save {tmp_path}/image")
    env = {**os.environ, "SACCADE_URL": stack.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", commands], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.rglob("frame_*.jpg")) and list(tmp_path.rglob("image.png"))
    assert (tmp_path / "objects" / "overlay.png").exists() and (tmp_path / "landmarks" / "overlay.png").exists()
    assert "people: Eileen Collins 1" in done.stdout
    assert '"state":"succeeded"' in done.stdout.replace(" ", "")


@pytest.mark.timeout(900)
def test_tutorial(stack: Stack, tmp_path: Path) -> None:
    """Every command of docs/tutorial.md, in one shell; the first failure ends it."""
    lines = "\n".join(_blocks("sh", (ROOT / "docs" / "tutorial.md").read_text("utf-8")))
    assert lines.count("saccade run") == 9 and lines.count("saccade models") == 6
    commands = re.sub(r"--save (\w+(?:-\w+)*)-out", rf"--save {tmp_path}/\1", f"set -eux\ncd {ROOT}\n{lines}")
    env = {**os.environ, "SACCADE_URL": stack.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", commands], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert (tmp_path / "leavers" / "curves.png").exists()
    assert list((tmp_path / "leavers" / "version-1").rglob("model.h5"))
    assert (tmp_path / "shape-finder" / "best.onnx").exists()
    assert (tmp_path / "finds" / "search.png").exists()


def test_python_program(stack: Stack, tmp_path: Path) -> None:
    [program] = _blocks("python")
    program = program.replace(_DEFAULT_URL, stack.url).replace('"invoice-out"', repr(str(tmp_path / "out")))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "invoice_number" in done.stdout
    assert (tmp_path / "out" / "searchable.pdf").exists()


def test_key_commands(tmp_path: Path) -> None:
    """On data of their own: from the first key on, the shared stack would ask everybody for one."""
    lines = [line for block in _blocks("sh") for line in block.splitlines() if line.startswith("saccade keys")]
    assert len(lines) == 2
    printed = ""
    for line in lines:
        command = [sys.executable, "-m", *line.split(), "--data-dir", str(tmp_path / "data")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    assert "admin" in printed and "me" in printed


def test_files_that_the_page_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target and target != "benchmarks/RESULTS.md":
            assert (ROOT / target).exists(), target


def test_kinds_of_the_table_are_those_of_the_registry() -> None:
    from saccade_kinds import registry

    table = README.split("## Kinds of job")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(registry.kinds())
