"""Trained models through a worker: registered with the job's success or not at all, and found again by other runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saccade_core.blobs import Check
from saccade_core.errors import Conflict, LeaseLost, UnknownModel
from saccade_core.ids import part_id
from saccade_core.jobs import JobState, Provenance
from saccade_core.records import leases, model_aliases, model_removal, models, removals
from saccade_core.records.lookups import JobWithArtifacts, get_job
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.records.tables import JobRow
from saccade_core.trained import Wanted
from saccade_kinds import registry
from saccade_models import weights
from saccade_worker import trained_models
from saccade_worker.execute import execute
from saccade_worker.host import Host
from saccade_worker.job_model import JobModel, model_of
from saccade_worker.trained_models import TrainedModels
from servers.records import PROJECT, accepted, claimed, expire_lease, record
from servers.running import problem_of
from servers.trained import register_files

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose cache is empty."""
    monkeypatch.setenv("SACCADE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _run(host: Host, kind: str, **params: Any) -> JobWithArtifacts:
    job = accepted(host.db, kind=kind, params=params)
    queued = [job.id, *(part_id(job.id, index) for index in range(params.get("parts", 0)))]
    for each in [*queued, *([job.id] if len(queued) > 1 else [])]:
        execute(host, each)
    return get_job(host.db, PROJECT, job.id)


def _train(host: Host, **params: Any) -> dict[str, Any]:
    row = _run(host, "trainer", **params).row
    assert row.result is not None, row.error
    return row.result["model"]


def _predict(host: Host, model: str, **params: Any) -> dict[str, Any]:
    row = _run(host, "predictor", model=model, **params).row
    assert row.result is not None, row.error
    return row.result


def _version(host: Host, version: int | None = None, name: str = "churn") -> ModelVersionRow:
    return models.find(host.db, PROJECT, Wanted(name, version=version))


def _keys(host: Host) -> list[str]:
    return sorted(stat.key for stat in host.blobs.list("models/"))


def test_a_model_comes_with_the_jobs_success(host: Host) -> None:
    assert _train(host) == {"name": "churn", "version": 1}
    row = _version(host)
    prefix = "models/tests.churn/1/"
    assert _keys(host) == [f"{prefix}{path}" for path in ("model.h5", "preprocess.json", "saved_model/saved_model.pb")]
    assert host.blobs.get_range(f"{prefix}model.h5", 0, 7) == b"weights"
    assert row.files is not None and row.lineage is not None
    assert row.files["model.h5"] == {"key": f"{prefix}model.h5", "bytes": 7, "sha256": row.sha256}
    assert (row.family, row.roles, row.metrics, row.facts, row.checks) == (
        "tabular",
        {"weights": "model.h5", "preprocess": "preprocess.json"},
        {"accuracy": 0.86},
        {"labels": ["0", "1"]},
        {"saved_model": 0.0},
    )
    assert row.bytes == 7 + 2 + 5
    assert row.lineage["job_id"] == row.job_id
    assert (row.lineage["kind"], row.lineage["params"], row.lineage["data"]) == ("trainer", {}, {})
    assert row.lineage["code_version"].startswith("saccade ")


def test_a_run_gets_the_version_that_its_params_name(host: Host) -> None:
    for text in ("one", "two", "three"):
        _train(host, text=text)
    model_aliases.set_alias(host.db, PROJECT, "churn", "production", 2)
    assert [_predict(host, name)["text"] for name in ("churn@1", "churn@production", "churn", "churn@3")] == [
        "one",
        "two",
        "two",
        "three",
    ]
    found = _run(host, "predictor", model="churn@3")
    assert found.row.result is not None and found.row.provenance is not None
    assert (found.row.result["name"], found.row.result["versions"]) == ("churn", ["3"])
    assert found.row.result["roles"] == ["preprocess", "weights"]
    assert found.row.result["facts"] == {"labels": ["0", "1"], "family": "tabular", "trained": True}
    used = {"name": "churn", "version": "3", "sha256": _version(host, 3).sha256}
    assert found.row.provenance["models"] == [used]


def test_a_killed_run_registers_nothing_and_the_next_attempt_has_its_number(host: Host, tmp_path: Path) -> None:
    job = _run(host, "trainer", die=True).row
    assert job.state == JobState.QUEUED
    assert _keys(host) == []
    with pytest.raises(UnknownModel):
        _version(host)
    assert _train(host)["version"] == 2
    again = claimed(host.db, job.id)
    assert models.reserve(host.db, PROJECT, "churn", again.id) == 1


def _held_back(host: Host, job: JobRow, gate: Path) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(1)
    pool.submit(execute, host, job.id)
    limit = time.monotonic() + 60
    while not gate.with_name(f"{gate.name}.reached").exists():
        assert time.monotonic() < limit, "the run came not to the gate"
        time.sleep(0.02)
    return pool


def test_a_run_that_lost_its_lease_registers_nothing(host: Host, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = accepted(host.db, kind="trainer", params={"gate": str(gate)})
    with _held_back(host, job, gate):
        expire_lease(host.db, job.id)
        claimed(host.db, job.id, "other")
        gate.touch()
    with pytest.raises(UnknownModel):
        _version(host)
    assert record(host.db, job.id).state == JobState.RUNNING


@pytest.mark.parametrize("wrong", ["link", "folder_link", "outside", "role", "family", "file_name", "twice", "facts"])
def test_a_model_that_cannot_be_kept_fails_the_job(host: Host, wrong: str) -> None:
    job = accepted(host.db, kind="trainer", params={"wrong": wrong}, max_attempts=1)
    execute(host, job.id)
    problem = problem_of(get_job(host.db, PROJECT, job.id))
    assert problem["code"] == "engine_failed"
    assert "/" not in problem["message"]
    assert _keys(host) == []
    with pytest.raises(UnknownModel):
        _version(host)


def test_figures_of_a_loss_that_diverged_are_kept_as_null(host: Host) -> None:
    _train(host, wrong="nan")
    assert _version(host).metrics == {"accuracy": None}


def test_a_run_may_end_without_a_model(host: Host) -> None:
    _train(host, wrong="nothing")
    with pytest.raises(UnknownModel):
        _version(host)
    assert model_removal.remove_abandoned(host.db) == ["models/tests.churn/1/"]


def _made(host: Host, job: JobRow, root: Path, text: str) -> JobModel:
    """What a run of the trainer told, in files with ``text``."""
    (root / "scratch" / "model").mkdir(parents=True)
    for name in ("model.h5", f"{text}.json"):
        (root / "scratch" / "model" / name).write_text(text)
    made = model_of(host.db, job, registry.get("trainer"), root)
    assert made is not None
    told: dict[str, Any] = {"family": "tabular", "folder": "scratch/model", "roles": {"weights": "model.h5"}}
    made.register({**told, "metrics": {}, "facts": {}, "checks": {}})
    return made


def test_a_paused_workers_late_files_do_not_touch_what_the_next_one_registers(host: Host, tmp_path: Path) -> None:
    made_by = Provenance(code_version="1", params_digest="", device="cpu")
    job = claimed(host.db, accepted(host.db, kind="trainer").id)
    first, upload = _made(host, job, tmp_path / "first", "first"), host.blobs.put_file

    def paused(key: str, path: Path, media_type: str, *, check: Check) -> Any:
        """The worker is stopped after its last look at the lease; meanwhile another does the whole job."""
        host.blobs.put_file = upload
        expire_lease(host.db, job.id)
        other = claimed(host.db, job.id, "other")
        second = _made(host, other, tmp_path / "second", "second")
        effect = second.store(host.blobs, other, made_by, check)
        leases.succeed(host.db, job.id, other.token, result={}, artifacts=[], provenance={}, progress={}, also=effect)
        return upload(key, path, media_type, check=check)

    host.blobs.put_file = paused  # pyright: ignore[reportAttributeAccessIssue] - this instance alone
    effect = first.store(host.blobs, job, made_by, lambda: None)
    with pytest.raises(LeaseLost):
        leases.succeed(host.db, job.id, job.token, result={}, artifacts=[], provenance={}, progress={}, also=effect)
    row = _version(host)
    assert row.files is not None and (row.version, set(row.files)) == (2, {"model.h5", "second.json"})
    assert {host.blobs.get_range(file["key"], 0, file["bytes"]) for file in row.files.values()} == {b"second"}
    assert removals.due(host.db, 10) == ["models/tests.churn/1/"]


def test_an_attempt_that_is_over_takes_and_gives_up_no_number(host: Host, tmp_path: Path) -> None:
    made_by = Provenance(code_version="1", params_digest="", device="cpu")
    job = claimed(host.db, accepted(host.db, kind="trainer").id)
    first = _made(host, job, tmp_path / "first", "first")
    expire_lease(host.db, job.id)
    other = claimed(host.db, job.id, "other")
    second = _made(host, other, tmp_path / "second", "second")
    assert (first.ref.version, second.ref.version) == (1, 1)  # the first had not begun to store
    with pytest.raises(LeaseLost):
        first.store(host.blobs, job, made_by, lambda: None)
    assert _keys(host) == []
    effect = second.store(host.blobs, other, made_by, lambda: None)
    with pytest.raises(LeaseLost):
        _made(host, job, tmp_path / "again", "again")
    leases.succeed(host.db, job.id, other.token, result={}, artifacts=[], provenance={}, progress={}, also=effect)
    assert _version(host).version == 1


@pytest.mark.parametrize("parts", [True, False])
def test_a_version_that_a_run_uses_by_an_alias_is_not_deleted(host: Host, parts: bool) -> None:
    for _ in range(2):
        _train(host)
    model_aliases.set_alias(host.db, PROJECT, "churn", "production", 1)
    job = claimed(host.db, accepted(host.db, kind="predictor", params={"model": "churn@production"}).id)
    kind = replace(registry.get("predictor"), parts=parts)
    TrainedModels(host.db, host.blobs).bring(job, kind, Wanted("churn", alias="production"), lambda: None)
    model_aliases.set_alias(host.db, PROJECT, "churn", "production", 2)
    with pytest.raises(Conflict, match=job.id):
        model_removal.delete_version(host.db, PROJECT, "churn", 1)
    leases.cancelled(host.db, job.id, job.token)
    model_removal.delete_version(host.db, PROJECT, "churn", 1)


@pytest.mark.parametrize(
    ("address", "checks", "roles"),
    [
        ("127.0.0.1:1", {"saved_model": 0.0}, {"preprocess"}),
        ("127.0.0.1:1", {"saved_model": 0.1}, {"preprocess", "onnx"}),
        (None, {"saved_model": 0.0}, {"preprocess", "onnx"}),
    ],
)
def test_a_kind_that_predicts_gets_only_what_it_reads(
    host: Host, address: str | None, checks: dict[str, float], roles: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SACCADE_SERVING_URL", raising=False)
    if address:
        monkeypatch.setenv("SACCADE_SERVING_URL", address)
    contents = {"model.h5": b"weights", "preprocess.json": b"{}", "model.onnx": b"onnx"}
    of = {"weights": "model.h5", "preprocess": "preprocess.json", "onnx": "model.onnx"}
    register_files(host.db, host.blobs, "churn", contents, PROJECT, roles=of, checks=checks)
    job, kind = accepted(host.db), registry.get("predictor")
    bring = TrainedModels(host.db, host.blobs).bring
    found = bring(job, replace(kind, predicts=True), Wanted("churn"), lambda: None)
    assert (set(found.files), found.facts["may_serve"]) == (roles, checks["saved_model"] == 0.0)
    assert set(bring(job, kind, Wanted("churn"), lambda: None).files) == set(of)


def test_the_join_of_a_job_in_parts_registers(host: Host) -> None:
    assert _train(host, parts=2) == {"name": "churn", "version": 1}
    assert _version(host).state == "ready"


def test_a_part_registers_nothing(host: Host) -> None:
    job = accepted(host.db, kind="trainer", params={"parts": 1, "register_in_part": True}, max_attempts=1)
    for each in (job.id, part_id(job.id, 0)):
        execute(host, each)
    assert "not from a part" in problem_of(get_job(host.db, PROJECT, job.id))["message"]


def test_all_runs_of_a_job_in_parts_have_one_version(host: Host) -> None:
    for text in ("one", "two"):
        _train(host, text=text)
    model_aliases.set_alias(host.db, PROJECT, "churn", "production", 1)
    job = accepted(host.db, kind="predictor", params={"model": "churn@production", "parts": 2})
    for each in (job.id, part_id(job.id, 0)):
        execute(host, each)
    model_aliases.set_alias(host.db, PROJECT, "churn", "production", 2)
    for each in (part_id(job.id, 1), job.id):
        execute(host, each)
    result = record(host.db, job.id).result
    assert result is not None and (result["versions"], result["text"]) == (["1", "1", "1"], "one")
    assert _predict(host, "churn@production")["versions"] == ["2"]


@pytest.mark.parametrize(
    ("model", "code", "says"),
    [
        ("digits", "unknown_model", "there are: cells, churn"),
        ("churn@2", "unknown_model", "has no version 2; there are: 1"),
        ("churn@production", "unknown_model", "has no alias 'production'"),
        ("../churn", "invalid_params", "can be no model's name"),
        ("cells", "invalid_params", "of the family yolo; this kind of job takes: tabular"),
    ],
)
def test_a_model_that_is_not_there_fails_the_job(host: Host, model: str, code: str, says: str) -> None:
    _train(host)
    _train(host, name="cells", family="yolo")
    problem = problem_of(_run(host, "predictor", model=model))
    assert (problem["code"], problem["field"], problem["retryable"]) == (code, "params.model", False)
    assert says in problem["message"]


def test_registered_weights_are_never_taken_for_a_trained_model(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    _train(host)
    monkeypatch.setattr(weights, "models", lambda: {"churn": weights.RegisteredModel("churn", "yolo", ())})
    assert problem_of(_run(host, "predictor", model="churn"))["code"] == "model_missing"


def test_files_are_fetched_once_and_checked(host: Host, _cache: Path) -> None:  # noqa: PT019 - its value is used
    _train(host, text="one")
    _predict(host, "churn")
    host.blobs.put_bytes("models/tests.churn/1/model.h5", b"two", "application/octet-stream")
    assert _predict(host, "churn")["text"] == "one"  # the cache has it
    [cached] = _cache.rglob("model.h5")
    cached.write_text("0ne")
    problem = problem_of(_run(host, "predictor", model="churn"))
    assert (problem["code"], problem["retryable"]) == ("model_missing", False)
    assert not list(_cache.rglob("*.part"))
    host.blobs.delete_prefix("models/tests.churn/1/")
    assert problem_of(_run(host, "predictor", model="churn"))["code"] == "unknown_model"


def test_what_was_used_longest_ago_goes_when_the_cache_is_full(
    host: Host,
    _cache: Path,  # noqa: PT019 - its value is used
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text in ("first", "other"):
        _train(host, text=text)
    _predict(host, "churn@1")
    monkeypatch.setattr(trained_models, "_KEPT_S", -1.0)
    small = TrainedModels(host.db, host.blobs, cache_bytes=8)
    small.bring(accepted(host.db), registry.get("predictor"), Wanted("churn", version=2), lambda: None)
    assert [path.read_text() for path in _cache.rglob("model.h5")] == ["other"]
