"""Commands that need no stack."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner

from saccade.checks import examine
from saccade.main import main
from saccade.stack.config import database_url, free_port
from saccade_core.records.database import Database
from saccade_core.records.keys import find_key


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[CliRunner]:
    """Runs commands in an empty folder; nothing answers at the address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SACCADE_DATABASE_URL", raising=False)
    monkeypatch.setenv("SACCADE_URL", f"http://127.0.0.1:{free_port()}")
    umask = os.umask(0o022)  # commands that write make it stricter, for good
    yield CliRunner()
    os.umask(umask)


@pytest.mark.parametrize("command", [["jobs"], ["show", "job_1"], ["watch", "job_1"], ["cancel", "job_1"]])
def test_without_a_stack_the_way_to_one_is_told(cli: CliRunner, command: list[str]) -> None:
    result = cli.invoke(main, command)
    assert result.exit_code == 1
    assert "Nothing answers at http://127.0.0.1" in result.output
    assert "saccade up" in result.output


def test_how_a_project_may_be_called_is_told(cli: CliRunner) -> None:
    told = " ".join(cli.invoke(main, ["keys", "create", "--help"]).output.split())
    assert "lower-case letters, digits, - and _" in told
    refused = cli.invoke(main, ["keys", "create", "--project", "Mine"])
    assert refused.exit_code != 0
    assert "lower-case" in refused.output


def test_keys_are_made_listed_and_revoked(cli: CliRunner, tmp_path: Path) -> None:
    made = cli.invoke(main, ["keys", "create", "--role", "read", "--project", "p", "--name", "for me"])
    assert made.exit_code == 0
    secret = made.stdout.strip()
    database = Database(database_url(tmp_path / ".saccade"))
    key = find_key(database, secret)
    assert key is not None
    assert (key.project, key.role, key.name) == ("p", "read", "for me")
    listed = cli.invoke(main, ["keys", "list"])
    assert key.id in listed.output
    assert secret not in listed.output
    assert cli.invoke(main, ["keys", "revoke", key.id]).exit_code == 0
    assert find_key(database, secret) is None
    assert cli.invoke(main, ["keys", "revoke", "key_none"]).exit_code == 1
    database.close()


def test_wrong_uses_of_up_are_named(cli: CliRunner) -> None:
    assert "--exit goes with --demo" in cli.invoke(main, ["up", "--exit"]).output
    assert "'gpu=1' is not POOL=NUMBER" in cli.invoke(main, ["up", "--workers", "gpu=1"]).output


def test_strangers_are_not_served_without_a_key(cli: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_POOL_PYTHON_CPU", "/python")
    result = cli.invoke(main, ["up", "--host", "0.0.0.0", "--port", str(free_port()), "--workers", "cpu=1"])  # noqa: S104 - refused
    assert result.exit_code == 1
    assert "saccade keys create" in result.output


def test_the_doctor_names_what_is_missing_and_what_mends_it(cli: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    well = cli.invoke(main, ["doctor", "--port", str(free_port())])
    assert well.exit_code == 0, well.output
    monkeypatch.setenv("PATH", "/nowhere")

    def nothing(name: str, path: str | None = None) -> str | None:
        return None

    monkeypatch.setattr("shutil.which", nothing)
    ill = cli.invoke(main, ["doctor", "--port", str(free_port())])
    assert ill.exit_code == 1
    assert "apt-get install tesseract-ocr" in " ".join(ill.output.split())


def test_the_doctor_names_the_missing_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SACCADE_ASSETS_MIRROR", str(tmp_path))
    [finding] = [each for each in examine(tmp_path, "127.0.0.1", free_port()) if each.what == "models"]
    assert finding.status == "optional"
    assert "missing: " in finding.found
    assert "yunet" in finding.found
    assert finding.mend.startswith("saccade assets pull ")
    assert "yunet" in finding.mend.split()
