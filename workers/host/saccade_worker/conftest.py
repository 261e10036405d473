"""A worker's host within the test's process, over real Redis, SQLite and a local folder."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from saccade_core.records.database import Database
from saccade_worker.host import Host
from saccade_worker.settings import WorkerSettings


@pytest.fixture
def worker_settings(tmp_path: Path, redis_url: str, sqlite_db: Database) -> WorkerSettings:
    """Settings of a worker over the records of ``sqlite_db``."""
    return WorkerSettings(
        database_url=sqlite_db.url.render_as_string(),
        redis_url=redis_url,
        blobs_url=f"file:{tmp_path}/blobs",
        scratch_dir=tmp_path / "scratch",
        drain_s=0.5,
    )


@pytest.fixture
def host(worker_settings: WorkerSettings, probe: None) -> Generator[Host]:
    """A started host that knows the kind ``probe``."""
    del probe
    made = Host(worker_settings, pool="cpu", queues="cpu,cpu.bulk", worker_id="tested")
    made.start()
    try:
        yield made
    finally:
        made.close()
