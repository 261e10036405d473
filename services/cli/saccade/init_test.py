from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from saccade.main import main
from saccade.stack.environments import workspace
from saccade_core.records import keys
from saccade_core.records.database import Database


def _read(env: Path) -> dict[str, str]:
    lines = [line for line in env.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_secret_is_made_once(tmp_path: Path) -> None:
    root = workspace()
    assert root is not None
    (tmp_path / ".env.example").write_text((root / ".env.example").read_text())
    first = CliRunner().invoke(main, ["init", "--folder", str(tmp_path)])
    assert first.exit_code == 0, first.output
    env = tmp_path / ".env"
    values = _read(env)
    made = {name: value for name, value in values.items() if not _read(tmp_path / ".env.example")[name]}
    assert set(made) == {"SACCADE_ADMIN_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "S3_SECRET_KEY"}
    assert all(len(value) >= 40 for value in made.values())
    assert len(set(made.values())) == len(made)
    assert not any(value in first.output for value in made.values())
    assert env.stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(main, ["init", "--folder", str(tmp_path)])
    assert again.exit_code == 1
    assert "there already" in again.output
    assert _read(env) == values


def test_the_key_is_one_that_the_gateway_admits(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("SACCADE_ADMIN_KEY=\n")
    CliRunner().invoke(main, ["init", "--folder", str(tmp_path)])
    database = Database(f"sqlite:///{tmp_path}/records.db")
    database.migrate()
    secret = _read(tmp_path / ".env")["SACCADE_ADMIN_KEY"]
    keys.admit_key(database, secret, name="SACCADE_ADMIN_KEY")
    assert keys.find_key(database, secret) is not None
    database.close()


def test_it_says_where_it_belongs(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["init", "--folder", str(tmp_path)])
    assert done.exit_code == 1
    assert "checkout of Saccade" in done.output
