"""The serving loop against a server that cannot load everything, stores that fail, and other keepers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import StorageFailed
from saccade_core.records import model_aliases, models
from saccade_core.records.database import Database
from saccade_core.settings import BlobSettings
from saccade_core.trained import Wanted
from saccade_keeper.serving import Serving
from saccade_keeper.serving_budget import Budget
from saccade_models.serving.client import ServingClient
from servers.serving_protocol import FakeModels
from servers.trained import register_files

PROJECT = "default"
SAVED = {"model.h5": b"weights", "saved_model/saved_model.pb": b"graph", "saved_model/variables/data": bytes(1000)}


@pytest.fixture
def db(tmp_path: Path) -> Generator[Database]:
    db = Database(f"sqlite:///{tmp_path}/saccade.db")
    db.migrate()
    yield db
    db.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))


class Keeping:
    """A keeper's steps, and what it sees."""

    def __init__(self, db: Database, blobs: Blobs, client: ServingClient, fake: FakeModels, folder: Path) -> None:
        self.db, self.blobs, self.fake, self.folder, self._client = db, blobs, fake, folder, client
        self.now = 1000.0
        self.serving = self.new()

    def new(self, budget: Budget | None = None) -> Serving:
        return Serving(self.db, self.blobs, self._client, self.folder, budget=budget, clock=lambda: self.now)

    def wanted(self, name: str) -> int:
        version = register_files(self.db, self.blobs, name, SAVED)
        models.want(self.db, PROJECT, name, version)
        return version

    def seen(self, name: str, version: int = 1) -> tuple[str | None, str | None]:
        row = models.find(self.db, PROJECT, Wanted(name, version=version))
        return row.serving, row.serving_error

    def steps(self, count: int = 3) -> None:
        for _ in range(count):
            self.serving.step()

    @property
    def config(self) -> str:
        return (self.folder / "models.config").read_text("utf-8")


@pytest.fixture
def keeping(db: Database, blobs: Blobs, tmp_path: Path) -> Generator[Keeping]:
    fake = FakeModels()
    with fake.running() as address:
        client = ServingClient(address)
        yield Keeping(db, blobs, client, fake, tmp_path / "served")
        client.close()


def test_a_version_that_cannot_be_loaded_is_left_out_and_tried_again_later(keeping: Keeping) -> None:
    keeping.wanted("good")
    keeping.wanted("broken")
    model_aliases.set_alias(keeping.db, PROJECT, "broken", "production", 1)
    keeping.fake.broken["broken", 1] = "no such op"
    keeping.steps()
    assert (keeping.seen("good"), keeping.seen("broken")) == (("available", None), ("failed", "no such op"))
    assert keeping.fake.told == [{"good": [1], "broken": [1]}, {"good": [1]}]
    assert "good" in keeping.config
    assert "broken" not in keeping.config
    (keeping.folder / "broken" / "1" / "saved_model.pb").write_bytes(b"a bad copy")
    for pause in (29, 2):
        keeping.now += pause
        keeping.steps()
    assert keeping.fake.told[2:] == [{"good": [1], "broken": [1]}, {"good": [1]}]
    assert (keeping.folder / "broken" / "1" / "saved_model.pb").read_bytes() == b"graph"  # copied again
    keeping.fake.broken.clear()
    keeping.now += 40
    keeping.steps()
    assert keeping.seen("broken")[0] == "failed"  # the pause has doubled
    keeping.now += 30
    keeping.steps()
    assert keeping.seen("broken") == ("available", None)
    assert "broken" in keeping.config


def test_what_was_never_loaded_is_not_what_a_server_starts_with(keeping: Keeping) -> None:
    keeping.wanted("broken")
    keeping.fake.broken["broken", 1] = "no such op"
    configs: list[str] = []
    reload = keeping.fake.told.append

    class Watched(list[dict[str, list[int]]]):
        def append(self, told: dict[str, list[int]], /) -> None:
            configs.append(keeping.config)
            super().append(told)
            reload(told)

    keeping.fake.told = Watched()
    keeping.steps()
    assert len(configs) == 2
    assert not any("broken" in config for config in configs)


def test_half_a_copy_and_one_of_another_version_are_replaced(keeping: Keeping) -> None:
    keeping.wanted("churn")
    half = keeping.folder / "churn" / "1"
    half.mkdir(parents=True)
    (half / "saved_model.pb").write_bytes(b"gra")
    keeping.steps()
    assert (half / "saved_model.pb").read_bytes() == b"graph"
    assert (half / "variables" / "data").stat().st_size == 1000
    assert keeping.seen("churn") == ("available", None)


def test_two_keepers_may_copy_the_same_version_at_once(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping.wanted("churn")
    other, get = keeping.new(), keeping.blobs.get_file
    calls: list[str] = []

    def slowly(key: str, path: Path, check: Callable[[], None] | None = None) -> None:
        get(key, path, check=check)
        calls.append(key)
        if len(calls) == 1:
            other.step()  # the whole version, while the first keeper is in the midst of it
            assert path.exists()

    monkeypatch.setattr(keeping.blobs, "get_file", slowly)
    keeping.steps(1)
    assert keeping.seen("churn") == ("available", None)
    assert (keeping.folder / "churn" / "1" / "saved_model.pb").read_bytes() == b"graph"
    assert list((keeping.folder / ".work").iterdir()) == []


@pytest.mark.parametrize("error", [StorageFailed("The store does not answer."), OSError(errno.ENOSPC, "full")])
def test_an_outage_is_not_the_versions_fault_and_stops_no_other(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    keeping.wanted("away")
    keeping.wanted("there")
    get = keeping.blobs.get_file

    def fail(key: str, path: Path, **more: Any) -> None:
        if "/away/" in key:
            raise error
        get(key, path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(keeping.blobs, "get_file", fail)
        keeping.steps()
    assert (keeping.seen("away"), keeping.seen("there")) == (("loading", None), ("available", None))
    keeping.now += 31
    keeping.steps()
    assert keeping.seen("away") == ("available", None)


@pytest.mark.parametrize("budget", [Budget(versions=2), Budget(bytes=2500)])
def test_only_what_fits_the_budget_is_loaded_aliases_first(keeping: Keeping, budget: Budget) -> None:
    for name in ("aliased", "early", "late"):
        keeping.wanted(name)
    model_aliases.set_alias(keeping.db, PROJECT, "aliased", "production", 1)
    keeping.serving = keeping.new(budget)
    keeping.steps()
    assert keeping.fake.told == [{"aliased": [1], "late": [1]}]
    assert keeping.seen("early") == (None, None)
    models.want(keeping.db, PROJECT, "early", 1)
    keeping.steps()
    assert keeping.fake.told[-1] == {"aliased": [1], "early": [1]}
