"""Which address the commands talk to."""

from __future__ import annotations

from pathlib import Path

import pytest

from saccade.address import find_url
from saccade.client import DEFAULT_URL
from saccade.stack.state import StackState, forget_state


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder two levels below one with a running stack's file."""
    monkeypatch.delenv("SACCADE_URL", raising=False)
    data = tmp_path / ".saccade"
    data.mkdir()
    StackState(url="http://127.0.0.1:9123", data_dir=str(data), started=0, supervisor=1, processes={}).write()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path


def test_the_option_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_URL", "http://b")
    assert find_url("http://a") == "http://a"
    assert find_url() == "http://b"


def test_the_stack_of_a_parent_folder(folder: Path) -> None:
    assert find_url() == "http://127.0.0.1:9123"


def test_without_a_stack_the_default(folder: Path) -> None:
    forget_state(folder / ".saccade")
    assert find_url() == DEFAULT_URL


def test_an_unreadable_file_is_no_obstacle(folder: Path) -> None:
    (folder / ".saccade" / "stack.json").write_text("{half")
    assert find_url() == DEFAULT_URL
