"""``saccade assets`` over a registry and a mirror of the test's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from saccade.main import main
from saccade.weights import needed_models, sample_models
from saccade_core.assets import Asset
from saccade_kinds import registry
from saccade_models.weights import ModelVersion, RegisteredModel, versions

CONTENT = b"weights" * 1000


def _version(version: str, content: bytes, *, stand_in: bool = False, url: str | None = None) -> ModelVersion:
    file = Asset(f"models/{version}.bin", hashlib.sha256(content).hexdigest(), len(content), "MIT", url, "us")
    return ModelVersion("net", version, "yunet", "MIT", "us", stand_in, "", {"weights": file}, {})


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One model with a stand-in, an empty cache and a mirror with the stand-in only."""
    net = RegisteredModel(
        "net", "yunet", (_version("1", b"official", url="https://h/1"), _version("1-odd", CONTENT, stand_in=True))
    )
    for module in ("saccade_models.weights", "saccade.commands.assets"):
        monkeypatch.setattr(f"{module}.models", lambda: {"net": net})
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", str(tmp_path / "mirror"))
    file = tmp_path / "mirror/models/1-odd.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return file


def test_models_are_listed_with_what_is_here(mirror: Path) -> None:
    listed = CliRunner().invoke(main, ["assets", "list"])
    assert listed.exit_code == 0, listed.output
    header, official, stand_in = (line.split() for line in listed.output.splitlines())
    assert header[:4] == ["MODEL", "VERSION", "SIZE", "HERE"]
    assert official[:5] == ["net", "1", "8", "B", "no"]
    assert stand_in[:6] == ["net", "1-odd", "(stand-in)", "7.0", "kB", "yes"]
    first, second = json.loads(CliRunner().invoke(main, ["assets", "list", "--json"]).output)
    assert (first["here"], first["missing"], first["files"]) == (False, ["weights"], {})
    assert (second["here"], second["files"], second["licence"]) == (True, {"weights": str(mirror)}, "MIT")
    assert second["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_models_are_pulled_or_the_reason_is_told(mirror: Path) -> None:
    pulled = CliRunner().invoke(main, ["assets", "pull", "net"])
    assert pulled.exit_code == 0, pulled.output
    assert f"net@1-odd is here, a stand-in for the official file: {mirror}" in pulled.output
    other = CliRunner().invoke(main, ["assets", "pull", "net@1"])
    assert other.exit_code == 1
    assert "Of its versions here are: net@1-odd." in other.output
    assert "SACCADE_ASSETS_MIRROR is set, and replaces the official addresses" in other.output
    mirror.write_bytes(b"X" + CONTENT[1:])
    refused = CliRunner().invoke(main, ["assets", "pull", "net", "net@1"])
    assert refused.exit_code == 1
    assert "other bytes than registered" in refused.output
    assert "net@1: The model 'net@1' is not to be had" in refused.output
    unknown = CliRunner().invoke(main, ["assets", "pull", "net", "nut"])
    assert unknown.exit_code == 1
    assert "No model is called 'nut'; there are: net." in unknown.output


def test_samples_name_models_that_are_registered() -> None:
    known = {version.name for name in needed_models(registry.kinds()) for version in versions(name)}
    assert known == {name.split("@")[0] for kind in registry.kinds() for name in sample_models(kind)}
