"""What should be served is served: real records, bytes, model server and SavedModels."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import UnknownModel
from saccade_core.records import model_aliases, models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.settings import BlobSettings
from saccade_core.trained import Wanted
from saccade_keeper import serving
from saccade_keeper.serving import Serving
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.serving.client import ServingClient
from servers.model_server import Running, running_server
from servers.networks import Network
from servers.stack import eventually
from servers.trained import register_version

PROJECT = "default"


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "saved_model"
    Network(folder, (4,), 2)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    with running_server(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Generator[ServingClient]:
    client = ServingClient(server.address)
    yield client
    client.reload([])
    client.close()


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
    """The serving loop's steps, and models to serve."""

    def __init__(self, db: Database, blobs: Blobs, client: ServingClient, server: Running, saved_model: Path) -> None:
        self.db, self.blobs, self.client, self.folder, self._saved_model = db, blobs, client, server.models, saved_model
        self.serving = self.new()

    def new(self) -> Serving:
        """As another keeper, or one that was started again."""
        return Serving(self.db, self.blobs, self.client, self.folder)

    def trained(self, name: str, project: str = PROJECT, checks: dict[str, float] | None = None) -> int:
        taken = PictureInput(height=1, width=4, channels=1, labels=["a", "b"])
        more = {} if checks is None else {"checks": checks}
        return register_version(self.db, self.blobs, name, self._saved_model, taken, project, **more)

    def row(self, name: str, version: int, project: str = PROJECT) -> ModelVersionRow:
        return models.find(self.db, project, Wanted(name, version=version))

    def becomes(self, name: str, version: int, serving: str | None) -> None:
        def seen() -> bool:
            self.serving.step()
            return self.row(name, version).serving == serving

        eventually(seen)

    def answers(self, served: str, version: int) -> bool:
        try:
            return self.client.predict(served, bytes(16), (1, 4), version=version).shape == (1, 2)
        except UnknownModel:
            return False


@pytest.fixture
def keeping(db: Database, blobs: Blobs, client: ServingClient, server: Running, saved_model: Path) -> Keeping:
    return Keeping(db, blobs, client, server, saved_model)


def test_what_an_alias_names_or_somebody_wants_is_served(keeping: Keeping) -> None:
    assert [keeping.trained("churn") for _ in range(3)] == [1, 2, 3]
    keeping.serving.step()
    assert keeping.row("churn", 1).serving is None
    model_aliases.set_alias(keeping.db, PROJECT, "churn", "production", 1)
    models.want(keeping.db, PROJECT, "churn", 3)
    keeping.becomes("churn", 1, "available")
    keeping.becomes("churn", 3, "available")
    assert [keeping.answers("churn", version) for version in (1, 2, 3)] == [True, False, True]
    config = (keeping.folder / "models.config").read_text("utf-8")
    assert "versions: 3" in config
    assert "versions: 2" not in config


def test_another_project_has_its_own_models(keeping: Keeping) -> None:
    version = keeping.trained("churn", "acme")
    models.want(keeping.db, "acme", "churn", version)
    eventually(lambda: keeping.serving.step() or keeping.row("churn", version, "acme").serving == "available")
    assert keeping.answers("acme.churn", version)
    assert not keeping.answers("churn", version)


def test_what_was_not_compared_is_never_copied(keeping: Keeping) -> None:
    for checks in ({}, {"saved_model": 0.5}):
        version = keeping.trained("unsafe", checks=checks)
        models.want(keeping.db, PROJECT, "unsafe", version)
        keeping.serving.step()
        assert not (keeping.folder / "unsafe").exists()


def test_bytes_that_were_changed_are_not_served(keeping: Keeping) -> None:
    version = keeping.trained("tampered")
    key = f"{models.prefix_of(PROJECT, 'tampered', version)}saved_model/saved_model.pb"
    keeping.blobs.put_bytes(key, b"something else", "application/octet-stream")
    models.want(keeping.db, PROJECT, "tampered", version)
    keeping.serving.step()
    row = keeping.row("tampered", version)
    assert (row.serving, row.serving_error) == (
        "failed",
        "The stored file 'saved_model/saved_model.pb' is not what was registered.",
    )
    assert not (keeping.folder / "tampered").exists()


def test_a_killed_keeper_changes_nothing_and_a_new_server_gets_everything(keeping: Keeping) -> None:
    version = keeping.trained("kept")
    models.want(keeping.db, PROJECT, "kept", version)
    work = keeping.folder / ".work" / f"kept-{version}"
    work.mkdir(parents=True)
    (work / "half").write_bytes(b"of a file")
    keeping.becomes("kept", version, "available")
    assert not (keeping.folder / "kept" / str(version) / "half").exists()
    keeping.serving = keeping.new()
    keeping.serving.step()
    assert keeping.row("kept", version).serving == "available"
    keeping.client.reload([])  # as a server that was started again
    eventually(lambda: not keeping.answers("kept", version))
    keeping.serving = keeping.new()
    keeping.becomes("kept", version, "available")


def test_what_is_over_is_unloaded_first_and_then_removed(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    version = keeping.trained("over")
    model_aliases.set_alias(keeping.db, PROJECT, "over", "production", version)
    keeping.becomes("over", version, "available")
    model_aliases.remove_alias(keeping.db, PROJECT, "over", "production")
    keeping.becomes("over", version, None)
    eventually(lambda: not keeping.answers("over", version))
    keeping.serving.step()
    assert (keeping.folder / "over" / str(version)).is_dir()
    monkeypatch.setattr(serving, "_KEEP_S", 0.0)
    eventually(lambda: keeping.serving.step() or not (keeping.folder / "over").exists())


def test_a_server_that_is_away_is_on_record(keeping: Keeping) -> None:
    version = keeping.trained("away")
    models.want(keeping.db, PROJECT, "away", version)
    keeping.becomes("away", version, "available")
    gone = ServingClient("127.0.0.1:1")
    Serving(keeping.db, keeping.blobs, gone, keeping.folder).step()
    assert keeping.row("away", version).serving is None
    gone.close()
    keeping.becomes("away", version, "available")
