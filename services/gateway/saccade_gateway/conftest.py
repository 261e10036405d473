"""A real gateway for each test."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from saccade_core.records.database import Database
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.testing import NO_REDIS, Serve, Served, running


@pytest.fixture(scope="session")
def empty_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("records") / "empty.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.close()
    return path


@pytest.fixture
def serve(tmp_path: Path, empty_records: Path) -> Serve:
    """Starts a gateway with these settings."""

    def start(**options: Any) -> AbstractContextManager[Served]:
        return _serve(tmp_path, empty_records, **options)

    return start


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory: pytest.TempPathFactory, empty_records: Path) -> Generator[httpx.Client]:
    """A client of one gateway for all tests of a module that leave nothing behind."""
    with _serve(tmp_path_factory.mktemp("shared"), empty_records) as served, served.client() as client:
        yield client


@pytest.fixture
def gateway(serve: Serve) -> Generator[Served]:
    """A gateway with the defaults, without a key."""
    with serve() as served:
        yield served


@pytest.fixture
def api(gateway: Served) -> Generator[httpx.Client]:
    """A client on this machine."""
    with gateway.client() as client:
        yield client


@contextmanager
def _serve(folder: Path, empty_records: Path, **options: Any) -> Generator[Served]:
    shutil.copy(empty_records, folder / "saccade.db")
    given: dict[str, Any] = {"redis_url": NO_REDIS, "blobs_url": f"file:{folder / 'blobs'}", **options}
    with running(GatewaySettings(database_url=f"sqlite:///{folder / 'saccade.db'}", **given)) as served:
        yield served
