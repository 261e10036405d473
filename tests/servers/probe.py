"""The kind ``probe`` of tests/plugin, which behaves as badly as it is told to, for this process and its children."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from saccade_kinds import registry

PLUGIN = Path(__file__).resolve().parents[1] / "plugin"


def python_path() -> str:
    """PYTHONPATH with which a process knows the kind ``probe``."""
    return os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Make the kind known for the length of a test."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.syspath_prepend(str(PLUGIN))
    _forget_kinds()
    yield
    _forget_kinds()


def _forget_kinds() -> None:
    registry.kinds.cache_clear()
    registry.sample.cache_clear()
    registry._packages.cache_clear()  # pyright: ignore[reportPrivateUsage] - a test's own business
