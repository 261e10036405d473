"""``saccade delete`` and ``show`` over a real gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from saccade.main import main
from saccade_core.records.database import Database
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.testing import NO_REDIS, image_request, running


def test_jobs_are_deleted_and_those_that_wait_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/saccade.db"
    db = Database(url)
    db.migrate()
    db.close()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments))

    settings = GatewaySettings(database_url=url, redis_url=NO_REDIS, blobs_url=f"file:{tmp_path}/blobs")
    with running(settings) as gateway, gateway.client() as api:
        monkeypatch.setenv("SACCADE_URL", gateway.url)
        done, queued = (api.post("/v1/jobs", json=image_request()).json()["id"] for _ in range(2))
        gateway.finish(done, {"image.png": b"bytes"})
        shown = run("show", queued).output
        assert "waiting: no worker of pool cpu runs" in shown
        assert "saccade up --workers cpu=2" in shown
        both = run("delete", queued, done)
        assert both.exit_code == 1
        assert f"Error: {queued}: conflict (409)" in both.stderr
        assert f"{done} is deleted." in both.stdout
        assert run("show", done).exit_code == 1
        assert run("delete").exit_code == 2
