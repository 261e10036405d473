"""Weights come from this machine or the object store, checked, before a run starts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from saccade_core.assets import Asset
from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import Cancelled, InvalidParams, ModelMissing
from saccade_core.jobs import JobState
from saccade_core.kind import ModelFiles
from saccade_core.settings import BlobSettings
from saccade_models import derived, weights
from saccade_models.weights import ModelVersion, RegisteredModel
from saccade_worker.host import Host
from saccade_worker.models import Models
from servers.running import problem_of, run_probe

CONTENT, FORM = b"weights" * 1000, b"the same as ONNX" * 1000
FILE = Asset("models/net.pt", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT", None, "us")
FORM_SHA256 = hashlib.sha256(FORM).hexdigest()
PREFIX = f"models/weights/{FILE.sha256}"


@pytest.fixture(autouse=True)
def _one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of one model of a family that is exported."""
    version = ModelVersion("net", "1", "yolo", "MIT", "us", False, "", {"weights": FILE}, {"labels": ["a"]})
    monkeypatch.setattr(weights, "models", lambda: {"net": RegisteredModel("net", "yolo", (version,))})
    monkeypatch.delenv("SACCADE_ASSETS_MIRROR", raising=False)
    _machine(monkeypatch, tmp_path / "first")


def _machine(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Be a machine with this cache."""
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(cache))


def _have(cache: Path, form: bytes = FORM) -> None:
    """Put the model and its exported form where ``pull`` would have put them."""
    path = cache / "assets" / FILE.path
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    made = cache / "made"
    made.write_bytes(form)
    derived.put(made, FILE.sha256, {"us": "1"})


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """An empty object store."""
    return open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}/blobs"))


def _check() -> None:
    """Nothing ends the transfer."""


def _is_whole(found: ModelFiles) -> bool:
    return found.path.read_bytes() == CONTENT and found.files["onnx"].read_bytes() == FORM


def test_a_machine_takes_from_the_store_what_another_kept_there(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _have(tmp_path / "first")
    assert _is_whole(Models(blobs).bring(["net"], _check)["net"])
    kept = {stat.key for stat in blobs.list(PREFIX)}
    assert kept == {
        f"{PREFIX}/net.pt",
        f"{PREFIX}/{derived.EXPORTER}/{FORM_SHA256}.onnx",
        f"{PREFIX}/{derived.EXPORTER}/model.json",
    }
    _machine(monkeypatch, tmp_path / "second")
    assert _is_whole(Models(blobs).bring(["net@1"], _check)["net@1"])
    blobs.delete_prefix(PREFIX)
    assert _is_whole(weights.local_model("net")), "it is in the cache now"
    assert not list((tmp_path / "second").rglob("*.part")) + list((tmp_path / "second").rglob("*.making"))


@pytest.mark.parametrize("name", ["net.pt", f"{derived.EXPORTER}/{FORM_SHA256}.onnx", f"{derived.EXPORTER}/model.json"])
@pytest.mark.parametrize("harm", ["altered", "cut", "gone"])
def test_what_the_store_has_wrong_or_not_is_not_taken(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, harm: str
) -> None:
    _have(tmp_path / "first")
    Models(blobs).bring(["net"], _check)
    key = f"{PREFIX}/{name}"
    stat = blobs.head(key)
    assert stat is not None
    content = blobs.get_range(key, 0, stat.bytes)
    if harm == "gone":
        blobs.delete([key])
    else:
        blobs.put_bytes(key, b"X" + content[1:] if harm == "altered" else content[:-1], "application/octet-stream")
    _machine(monkeypatch, tmp_path / "second")
    with pytest.raises(ModelMissing, match="saccade assets pull net"):
        Models(blobs).bring(["net"], _check)


def test_a_cancel_ends_a_transfer_and_leaves_nothing(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _have(tmp_path / "first")
    Models(blobs).bring(["net"], _check)
    _machine(monkeypatch, tmp_path / "second")

    def cancelled() -> None:
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        Models(blobs).bring(["net"], cancelled)
    assert [p.name for p in (tmp_path / "second").rglob("*") if p.is_file()] == ["net.pt.lock"]


def test_a_name_that_is_not_registered_is_refused(blobs: Blobs) -> None:
    with pytest.raises(InvalidParams, match="there are: net"):
        Models(blobs).bring(["nut"], _check)


def test_machines_that_exported_for_themselves_do_not_harm_each_other(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _have(tmp_path / "first")
    Models(blobs).bring(["net"], _check)
    blobs.delete([f"{PREFIX}/{derived.EXPORTER}/model.json"])  # as if the first had died before it wrote the record
    _machine(monkeypatch, tmp_path / "second")
    _have(tmp_path / "second", FORM + b", exported again")
    Models(blobs).bring(["net"], _check)
    _machine(monkeypatch, tmp_path / "third")
    found = Models(blobs).bring(["net"], _check)["net"]
    assert found.files["onnx"].read_bytes() == FORM + b", exported again"


@pytest.mark.stack
def test_a_run_gets_the_models_that_its_params_name(host: Host, tmp_path: Path) -> None:
    _have(tmp_path / "first")
    found = run_probe(host, "models", params={"models": ["net"], "text": "net"})
    assert found.row.state == JobState.SUCCEEDED, found.row.error
    assert found.row.result is not None and bytes.fromhex(found.row.result["text"]) == CONTENT
    assert found.row.provenance is not None
    assert found.row.provenance["models"] == [{"name": "net", "version": "1", "sha256": FILE.sha256}]
    assert host.blobs.head(f"{PREFIX}/net.pt") is not None


@pytest.mark.stack
def test_a_missing_model_fails_the_job_at_once_with_the_command_that_gets_it(host: Host) -> None:
    found = run_probe(host, "models", params={"models": ["net"], "text": "net"})
    problem = problem_of(found)
    assert (problem["code"], problem["retryable"]) == ("model_missing", False)
    assert "saccade assets pull net" in problem["message"]
    assert found.row.attempt == 1


@pytest.mark.stack
def test_a_model_that_was_not_declared_is_not_given(host: Host, tmp_path: Path) -> None:
    _have(tmp_path / "first")
    problem = problem_of(run_probe(host, "models", params={"text": "net"}))
    assert problem["code"] == "model_missing"
    assert "did not declare" in problem["message"]
