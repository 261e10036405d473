from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from saccade_core.errors import Conflict, LeaseLost, RemovedMeanwhile, UnknownModel
from saccade_core.jobs import JobState
from saccade_core.records import leases, model_aliases, model_removal, model_uses, models, removals
from saccade_core.records.database import Database, now
from saccade_core.records.lookups import JobFilter, list_jobs
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.records.models import StoredModel
from saccade_core.records.requests import accept, cancel_job, delete_job, retry_job
from saccade_core.records.tables import JobRow
from saccade_core.trained import Wanted, read_served_name, read_wanted, served_name
from servers.records import PROJECT, accepted, alter, claimed, expire_lease, new_job, record


def stored(**more: Any) -> StoredModel:
    values: dict[str, Any] = {
        "family": "tabular",
        "files": {
            "model.h5": {"key": "models/tests.churn/1/model.h5", "bytes": 6_000_000_000, "sha256": "a" * 64},
            "saved_model/saved_model.pb": {"key": "models/tests.churn/1/saved_model/x", "bytes": 5, "sha256": "b" * 64},
        },
        "roles": {"weights": "model.h5"},
        "metrics": {"accuracy": 0.86},
        "facts": {"labels": ["0", "1"]},
        "checks": {"saved_model": 0.0},
        "lineage": {"kind": "probe"},
    }
    return StoredModel(**{**values, **more})


def finish(db: Database, job: JobRow, version: int, project: str = PROJECT, **more: Any) -> None:
    """Let a claimed job succeed, and register."""
    leases.succeed(
        db,
        job.id,
        job.token,
        result={},
        artifacts=[],
        provenance={},
        progress={},
        also=lambda session: models.register(session, project, job.id, version, stored(**more)),
    )


def trained(db: Database, name: str = "churn", project: str = PROJECT, **more: Any) -> int:
    """A new version of the model, ready; its number."""
    job = claimed(db, accepted(db, project=project).id)
    version = models.reserve(db, project, name, job.id)
    finish(db, job, version, project, **more)
    return version


def found(db: Database, text: str, project: str = PROJECT) -> int:
    wanted = read_wanted(text)
    assert wanted is not None
    return models.find(db, project, wanted).version


def test_a_job_has_one_version_however_often_it_is_tried(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    assert [models.reserve(db, PROJECT, "churn", job.id) for _ in range(3)] == [1, 1, 1]
    expire_lease(db, job.id)
    again = claimed(db, job.id, "other")
    assert models.reserve(db, PROJECT, "churn", again.id) == 1
    assert models.reserve(db, PROJECT, "churn", accepted(db).id) == 2
    assert models.reserve(db, "other", "churn", accepted(db).id) == 1
    assert models.reserve(db, PROJECT, "digits", accepted(db).id) == 1


def test_numbers_are_given_once_to_jobs_that_come_at_the_same_time(db: Database) -> None:
    jobs = [accepted(db).id for _ in range(12)] * 2

    def reserve(job: str) -> int:
        return models.reserve(db, PROJECT, "churn", job)

    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(reserve, jobs))
    assert given[:12] == given[12:]
    assert sorted(given[:12]) == list(range(1, 13))


def test_a_version_is_seen_once_its_job_has_succeeded(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    version = models.reserve(db, PROJECT, "churn", job.id)
    assert models.list_models(db, PROJECT) == []
    with pytest.raises(UnknownModel):
        found(db, "churn")
    finish(db, job, version, metrics={"accuracy": 0.9, "auc": math.nan})
    row = models.find(db, PROJECT, Wanted("churn"))
    assert (row.version, row.state, row.family, row.sha256) == (1, "ready", "tabular", "a" * 64)
    assert (row.bytes, row.metrics) == (6_000_000_005, {"accuracy": 0.9, "auc": None})
    assert record(db, job.id).state == JobState.SUCCEEDED


def test_a_run_that_lost_its_lease_registers_nothing(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    version = models.reserve(db, PROJECT, "churn", job.id)
    expire_lease(db, job.id)
    other = claimed(db, job.id, "other")
    with pytest.raises(LeaseLost):
        finish(db, job, version)
    assert models.list_models(db, PROJECT) == []
    finish(db, other, version)
    assert found(db, "churn") == 1


def test_a_job_whose_version_was_removed_does_not_succeed(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    with pytest.raises(RemovedMeanwhile):
        finish(db, job, 1)
    assert record(db, job.id).state == JobState.RUNNING


def test_a_name_stands_for_production_else_for_the_newest(db: Database) -> None:
    for _ in range(3):
        trained(db)
    assert (found(db, "churn"), found(db, "churn@2")) == (3, 2)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 1)
    assert (found(db, "churn"), found(db, "churn@production"), found(db, "churn@3")) == (1, 1, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("none", "There is no trained model 'none'; there are: churn, digits."),
        ("churn@7", "Model 'churn' has no version 7; there are: 2, 1."),
        ("churn@staging", "Model 'churn' has no alias 'staging'; there are: production."),
        ("digits@staging", "Model 'digits' has no alias 'staging'; there are: none."),
    ],
)
def test_what_is_not_there_is_told_with_what_is(db: Database, text: str, says: str) -> None:
    for name in ("churn", "churn", "digits"):
        trained(db, name)
    trained(db, "none", project="other")
    model_aliases.set_alias(db, PROJECT, "churn", "production", 2)
    with pytest.raises(UnknownModel) as caught:
        found(db, text)
    assert (caught.value.message, caught.value.received, caught.value.code) == (says, text, "unknown_model")


def test_models_and_versions_are_listed_in_pages(db: Database) -> None:
    for name in ("b", "a", "c", "a"):
        trained(db, name)
    trained(db, "a", project="other")
    models.reserve(db, PROJECT, "d", accepted(db).id)
    model_aliases.set_alias(db, PROJECT, "a", "production", 1)
    listed = models.list_models(db, PROJECT)
    assert [(m.newest.name, m.newest.version, m.versions, m.aliases) for m in listed] == [
        ("a", 2, 2, {"production": 1}),
        ("b", 1, 1, {}),
        ("c", 1, 1, {}),
    ]
    assert listed[0].bytes == 2 * 6_000_000_005
    assert [m.newest.name for m in models.list_models(db, PROJECT, after="a", limit=1)] == ["b"]
    assert models.get_model(db, PROJECT, "c").versions == 1
    with pytest.raises(UnknownModel):
        models.get_model(db, PROJECT, "d")
    assert [row.version for row in models.list_versions(db, PROJECT, "a")] == [2, 1]
    assert [row.version for row in models.list_versions(db, PROJECT, "a", before=2)] == [1]


def test_versions_are_found_in_the_order_asked_for(db: Database) -> None:
    for accuracy in (0.8, 0.9):
        trained(db, metrics={"accuracy": accuracy})
    assert [row.metrics for row in models.find_all(db, PROJECT, [Wanted("churn"), Wanted("churn", 1)])] == [
        {"accuracy": 0.9},
        {"accuracy": 0.8},
    ]
    with pytest.raises(UnknownModel, match="no version 3"):
        models.find_all(db, PROJECT, [Wanted("churn", 1), Wanted("churn", 3)])


def test_an_alias_remembers_what_it_stood_for(db: Database) -> None:
    for _ in range(3):
        trained(db)
    for version in (1, 2, 2, 3):
        row = model_aliases.set_alias(db, PROJECT, "churn", "production", version)
        assert row.version == version
    model_aliases.set_alias(db, PROJECT, "churn", "staging", 3)
    history = model_aliases.alias_history(db, PROJECT, "churn")
    assert [(h.alias, h.version) for h in history if h.alias == "production"] == [
        ("production", 3),
        ("production", 2),
        ("production", 1),
    ]
    assert [a.alias for a in model_aliases.list_aliases(db, PROJECT, "churn")] == ["production", "staging"]
    with pytest.raises(UnknownModel):
        model_aliases.set_alias(db, PROJECT, "churn", "production", 9)
    with pytest.raises(UnknownModel):
        model_aliases.set_alias(db, "other", "churn", "production", 1)


def test_a_rollback_goes_to_the_version_before(db: Database) -> None:
    for _ in range(3):
        trained(db)

    def roll_back() -> int:
        to = model_aliases.previous_version(db, PROJECT, "churn", "production")
        return model_aliases.roll_back(db, PROJECT, "churn", "production", to).version

    for version in (1, 2, 3):
        model_aliases.set_alias(db, PROJECT, "churn", "production", version)
    assert [roll_back(), roll_back()] == [2, 3]
    model_removal.delete_version(db, PROJECT, "churn", 2)
    assert roll_back() == 1
    model_removal.delete_version(db, PROJECT, "churn", 3)
    with pytest.raises(Conflict, match="stands for version 1"):
        roll_back()
    with pytest.raises(UnknownModel):
        model_aliases.previous_version(db, PROJECT, "churn", "staging")


def test_a_rollback_does_not_undo_what_somebody_set_meanwhile(db: Database) -> None:
    for _ in range(3):
        trained(db)
    for version in (1, 2, 3):
        model_aliases.set_alias(db, PROJECT, "churn", "production", version)
    with pytest.raises(Conflict, match="meanwhile"):
        model_aliases.roll_back(db, PROJECT, "churn", "production", 1)


def test_ten_changes_at_once_leave_ten_entries(db: Database) -> None:
    for _ in range(2):
        trained(db)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 1)

    def set_alias(number: int) -> int:
        return model_aliases.set_alias(db, PROJECT, "churn", f"a{number}", 1 + number % 2).version

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(set_alias, range(10))) == [1, 2] * 5
    assert len(model_aliases.alias_history(db, PROJECT, "churn")) == 11


def test_a_version_is_deleted_with_its_bytes_and_its_number_never_comes_back(db: Database) -> None:
    assert [trained(db), trained(db)] == [1, 2]
    model_aliases.set_alias(db, PROJECT, "churn", "production", 2)
    with pytest.raises(Conflict, match="Alias 'production'"):
        model_removal.delete_version(db, PROJECT, "churn", 2)
    model_aliases.remove_alias(db, PROJECT, "churn", "production")
    assert model_removal.delete_version(db, PROJECT, "churn", 2) == ["models/tests.churn/2/"]
    assert removals.due(db, 10) == ["models/tests.churn/2/"]
    with pytest.raises(UnknownModel):
        model_removal.delete_version(db, PROJECT, "churn", 2)
    assert trained(db) == 3


def test_a_model_is_deleted_with_its_aliases_and_goes_on_counting(db: Database) -> None:
    for _ in range(2):
        trained(db)
    trained(db, project="other")
    model_aliases.set_alias(db, PROJECT, "churn", "production", 2)
    running = claimed(db, accepted(db).id)
    models.reserve(db, PROJECT, "churn", running.id)
    with pytest.raises(Conflict, match=running.id):
        model_removal.delete_model(db, PROJECT, "churn")
    leases.cancelled(db, running.id, running.token)
    assert model_removal.delete_model(db, PROJECT, "churn") == ["models/tests.churn/1/", "models/tests.churn/2/"]
    assert model_aliases.alias_history(db, PROJECT, "churn") == []
    with pytest.raises(UnknownModel):
        model_removal.delete_model(db, PROJECT, "churn")
    with pytest.raises(UnknownModel):
        model_removal.delete_model(db, PROJECT, "never")
    assert found(db, "churn", "other") == 1
    assert trained(db) == 4


@pytest.mark.parametrize(("text", "version_kept"), [("churn@1", True), ("churn@production", False), ("churn", False)])
def test_what_an_unfinished_job_names_is_not_deleted(db: Database, text: str, version_kept: bool) -> None:
    for _ in range(2):
        trained(db)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 2)
    job, wanted = accepted(db), read_wanted(text)
    assert wanted is not None
    with db.write() as session:
        for _ in range(2):
            model_uses.hold(db, session, PROJECT, job.id, wanted)
    delete: Callable[[], list[str]] = lambda: model_removal.delete_version(db, PROJECT, "churn", 1)  # noqa: E731 - short
    if version_kept:
        with pytest.raises(Conflict, match=job.id):
            delete()
    with pytest.raises(Conflict, match=job.id):
        model_removal.delete_model(db, PROJECT, "churn")
    cancel_job(db, PROJECT, job.id)
    assert delete() == ["models/tests.churn/1/"]


def test_a_job_that_names_what_was_deleted_meanwhile_is_not_recorded(db: Database) -> None:
    trained(db)
    model_removal.delete_version(db, PROJECT, "churn", 1)

    def hold(session: Session, job: JobRow) -> None:
        model_uses.hold(db, session, PROJECT, job.id, Wanted("churn", version=1))

    with pytest.raises(UnknownModel):
        accept(db, new_job(), also=hold)
    assert list_jobs(db, PROJECT, JobFilter(states=[JobState.QUEUED])) == []


def test_a_job_goes_on_with_the_version_that_it_found_first(db: Database) -> None:
    for _ in range(3):
        trained(db)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 1)
    job = accepted(db)

    def use(text: str) -> int:
        wanted = read_wanted(text)
        assert wanted is not None
        return model_uses.use(db, PROJECT, job.id, wanted).version

    assert (use("churn@production"), use("churn@2")) == (1, 2)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 3)
    assert (use("churn@production"), use("churn")) == (1, 3)  # the second is asked for the first time
    with pytest.raises(Conflict, match=job.id):
        model_removal.delete_version(db, PROJECT, "churn", 1)
    cancel_job(db, PROJECT, job.id)
    model_removal.delete_version(db, PROJECT, "churn", 1)
    retry_job(db, PROJECT, job.id)
    assert use("churn@production") == 3


@pytest.mark.parametrize("text", ["churn", "churn@production"])
def test_the_last_version_of_a_model_that_a_job_names_is_not_deleted(db: Database, text: str) -> None:
    for _ in range(2):
        trained(db)
    model_aliases.set_alias(db, PROJECT, "churn", "production", 2)
    job, wanted = accepted(db), read_wanted(text)
    assert wanted is not None
    with db.write() as session:
        model_uses.hold(db, session, PROJECT, job.id, wanted)
    model_aliases.remove_alias(db, PROJECT, "churn", "production")
    model_removal.delete_version(db, PROJECT, "churn", 2)
    with pytest.raises(Conflict, match=job.id):
        model_removal.delete_version(db, PROJECT, "churn", 1)
    cancel_job(db, PROJECT, job.id)
    assert model_removal.delete_version(db, PROJECT, "churn", 1) == ["models/tests.churn/1/"]


def test_versions_that_never_came_are_removed_with_their_bytes(db: Database) -> None:
    running, failed, gone, done = (claimed(db, accepted(db).id) for _ in range(4))
    for job in (running, failed, gone, done):
        models.reserve(db, PROJECT, "churn", job.id)
    alter(db, failed.id, state=JobState.FAILED)
    for job in (gone, done):
        alter(db, job.id, state=JobState.SUCCEEDED)
    delete_job(db, PROJECT, gone.id)
    expected = [f"models/tests.churn/{version}/" for version in (2, 3, 4)]
    assert sorted(model_removal.remove_abandoned(db)) == expected
    assert sorted(removals.due(db, 10)) == expected
    assert model_removal.remove_abandoned(db) == []
    assert models.reserve(db, PROJECT, "churn", running.id) == 1
    retry_job(db, PROJECT, failed.id)
    assert models.reserve(db, PROJECT, "churn", failed.id) == 5
    kept = model_removal.unknown_versions(db, [(PROJECT, "churn", 1), (PROJECT, "churn", 2)])
    assert kept == {(PROJECT, "churn", 2)}


def test_what_the_model_server_should_have(db: Database) -> None:
    for _ in range(4):
        trained(db)
    trained(db, "bad", checks={"saved_model": 1e-3})
    trained(db, "cells", family="yolo")
    for name, version in (("churn", 1), ("bad", 1), ("cells", 1)):
        model_aliases.set_alias(db, PROJECT, name, "production", version)
    models.want(db, PROJECT, "churn", 3)
    models.want(db, PROJECT, "churn", 4)
    with db.write() as session:
        row = session.get(ModelVersionRow, (PROJECT, "churn", 4))
        assert row is not None
        row.wanted_at = now() - 100.0
    assert [(row.name, row.version) for row in models.servable(db, 50.0)] == [("churn", 1), ("churn", 3)]
    models.set_serving(db, PROJECT, "churn", 3, "failed", error="It has no signature.")
    row = models.find(db, PROJECT, Wanted("churn", version=3))
    assert (row.serving, row.serving_error) == ("failed", "It has no signature.")
    models.set_serving(db, PROJECT, "churn", 3, "available")
    assert models.find(db, PROJECT, Wanted("churn", version=3)).serving_error is None


@pytest.mark.parametrize(("project", "served"), [("default", "churn"), ("tests", "tests.churn")])
def test_a_served_name_tells_whose_it_is(project: str, served: str) -> None:
    assert served_name(project, "churn") == served
    assert read_served_name(served) == (project, "churn")
