from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from saccade_core.errors import EngineFailed, LeaseLost, SaccadeError, Unavailable, UnreadableInput, WorkerLost
from saccade_core.jobs import JobState
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.fleet import set_paused
from saccade_core.records.lookups import get_job, list_attempts
from saccade_core.records.requests import cancel_job
from saccade_core.records.tables import JobRow
from servers.records import PROJECT, accepted, alter, claimed, expire_lease, record, succeed


def _stored(token: int) -> leases.StoredArtifact:
    return leases.StoredArtifact("a.txt", "text/plain", 1, "0" * 64, f"jobs/x/{token}/a.txt")


def _outcomes(db: Database, job_id: str) -> list[str | None]:
    return [attempt.outcome for attempt in list_attempts(db, job_id)]


def test_one_of_twenty_workers_gets_the_job(db: Database) -> None:
    job = accepted(db)
    start = Barrier(20)

    def take(number: int) -> JobRow | None:
        start.wait()
        return leases.claim(db, job.id, f"worker-{number}")

    with ThreadPoolExecutor(20) as pool:
        winners = [row for row in pool.map(take, range(20)) if row is not None]
    assert len(winners) == 1
    stored = record(db, job.id)
    assert (stored.worker, stored.attempt, stored.token) == (winners[0].worker, 1, 1)
    assert _outcomes(db, job.id) == [None]


def test_a_claim_starts_an_attempt(db: Database) -> None:
    held = claimed(db, accepted(db).id, "me")
    assert (held.state, held.attempt, held.token, held.worker) == (JobState.RUNNING, 1, 1, "me")
    assert held.lease_until is not None
    assert held.started_at is not None
    assert held.lease_until - held.started_at == pytest.approx(leases.LEASE_S, abs=1.0)
    assert leases.claim(db, held.id, "other") is None


def test_an_unknown_job_is_nobodys(db: Database) -> None:
    assert leases.claim(db, "job_none", "worker") is None


def test_an_expired_lease_can_be_claimed(db: Database) -> None:
    job = accepted(db)
    first = claimed(db, job.id, "first")
    expire_lease(db, job.id)
    second = claimed(db, job.id, "second")
    assert (second.attempt, second.token) == (2, 2)
    assert _outcomes(db, job.id) == ["lost", None]
    with pytest.raises(LeaseLost):
        leases.heartbeat(db, job.id, first.token, None)


def test_the_holder_of_an_old_token_changes_nothing(db: Database) -> None:
    job = accepted(db)
    old = claimed(db, job.id, "old")
    expire_lease(db, job.id)
    new = claimed(db, job.id, "new")
    for finish in (
        lambda: succeed(db, old, _stored(old.token)),
        lambda: leases.fail(db, old, UnreadableInput("bad")),
        lambda: leases.fail(db, old, EngineFailed("bad")),
        lambda: leases.release(db, old),
        lambda: leases.cancelled(db, old.id, old.token),
    ):
        with pytest.raises(LeaseLost):
            finish()
    assert record(db, job.id).state == JobState.RUNNING
    succeed(db, new, _stored(new.token))
    done = get_job(db, PROJECT, job.id)
    assert done.row.result == {"token": new.token}
    assert [a.key for a in done.artifacts] == ["jobs/x/2/a.txt"]
    with pytest.raises(LeaseLost):
        succeed(db, old, _stored(old.token))
    assert [a.key for a in get_job(db, PROJECT, job.id).artifacts] == ["jobs/x/2/a.txt"]
    assert _outcomes(db, job.id) == ["lost", "succeeded"]


def test_the_holder_finishes_once(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    succeed(db, held)
    with pytest.raises(LeaseLost):
        succeed(db, held)
    with pytest.raises(LeaseLost):
        leases.fail(db, held, EngineFailed("late"))
    assert record(db, held.id).state == JobState.SUCCEEDED


def test_an_expired_lease_that_nobody_took_is_still_the_holders(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    expire_lease(db, held.id)
    assert leases.heartbeat(db, held.id, held.token, None) is False
    assert leases.claim(db, held.id, "other") is None
    succeed(db, held)
    assert record(db, held.id).state == JobState.SUCCEEDED


def test_a_heartbeat_brings_progress_out_and_the_cancel_in(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    assert leases.heartbeat(db, held.id, held.token, {"fraction": 0.5}) is False
    assert leases.heartbeat(db, held.id, held.token, None) is False
    assert record(db, held.id).progress == {"fraction": 0.5}
    cancel_job(db, PROJECT, held.id)
    assert leases.heartbeat(db, held.id, held.token, None) is True


def test_success_ends_the_lease_and_starts_the_expiry(db: Database) -> None:
    held = claimed(db, accepted(db, ttl_s=100.0).id)
    succeed(db, held)
    row = record(db, held.id)
    assert (row.lease_until, row.publish_at, row.error) == (None, None, None)
    assert row.finished_at is not None
    assert row.expires_at == pytest.approx(row.finished_at + 100.0, abs=1.0)


@pytest.mark.parametrize("error", [UnreadableInput("It is no image.", field="inputs.image"), WorkerLost("It died.")])
def test_a_failure_that_is_final(db: Database, error: SaccadeError) -> None:
    held = claimed(db, accepted(db, max_attempts=1).id)
    assert leases.fail(db, held, error) is JobState.FAILED
    row = record(db, held.id)
    assert row.state == JobState.FAILED
    assert row.error == {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
        "field": error.field,
    }
    assert _outcomes(db, held.id) == ["failed"]


def test_an_input_error_is_not_tried_again(db: Database) -> None:
    held = claimed(db, accepted(db, max_attempts=3).id)
    assert leases.fail(db, held, UnreadableInput("bad")) is JobState.FAILED


def test_a_retryable_failure_waits_longer_each_time_until_no_attempt_is_left(db: Database) -> None:
    job = accepted(db, max_attempts=3)
    pauses: list[float] = []
    for _ in range(2):
        held = claimed(db, job.id)
        assert leases.fail(db, held, EngineFailed("bad")) is JobState.WAITING
        row = record(db, job.id)
        assert row.run_at is not None
        assert row.error is not None
        assert row.started_at is not None
        pauses.append(row.run_at - row.started_at)
        assert leases.claim(db, job.id, "early") is None
        alter(db, job.id, state=JobState.QUEUED)
    assert 1.4 < pauses[0] < 3.5
    assert 2.9 < pauses[1] < 6.5
    assert leases.fail(db, claimed(db, job.id), EngineFailed("bad")) is JobState.FAILED
    assert _outcomes(db, job.id) == ["failed", "failed", "failed"]
    assert leases.claim(db, job.id, "late") is None


def test_back_off_has_an_upper_end() -> None:
    assert all(225.0 <= leases.backoff_s(attempt) <= 375.0 for attempt in (9, 20, 100))


def test_a_lost_child_means_a_new_run_at_once(db: Database) -> None:
    job = accepted(db, max_attempts=2)
    assert leases.fail(db, claimed(db, job.id), WorkerLost("It died.")) is JobState.QUEUED
    assert leases.fail(db, claimed(db, job.id), WorkerLost("It died.")) is JobState.FAILED
    row = record(db, job.id)
    assert row.error is not None
    assert row.error["code"] == "worker_lost"
    assert _outcomes(db, job.id) == ["lost", "failed"]


def test_a_server_that_was_away_is_no_lasting_fault_of_the_job(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    assert leases.fail(db, held, Unavailable("away")) is JobState.WAITING
    error = record(db, held.id).error
    assert error is not None
    assert error["retryable"] is True


@pytest.mark.parametrize("error", [EngineFailed("bad"), UnreadableInput("bad"), WorkerLost("died")])
def test_a_cancelled_job_that_fails_is_cancelled(db: Database, error: SaccadeError) -> None:
    held = claimed(db, accepted(db).id)
    cancel_job(db, PROJECT, held.id)
    assert leases.fail(db, held, error) is JobState.CANCELLED
    row = record(db, held.id)
    assert (row.state, row.error) == (JobState.CANCELLED, None)


def test_a_job_that_is_given_back_keeps_its_attempts(db: Database) -> None:
    job = accepted(db, max_attempts=1)
    for _ in range(3):
        held = claimed(db, job.id)
        assert leases.release(db, held) is JobState.QUEUED
        with pytest.raises(LeaseLost):
            succeed(db, held)
    assert record(db, job.id).attempt == 0
    succeed(db, claimed(db, job.id))
    assert _outcomes(db, job.id) == ["released", "released", "released", "succeeded"]


def test_a_cancelled_job_that_is_given_back_is_cancelled(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    cancel_job(db, PROJECT, held.id)
    assert leases.release(db, held) is JobState.CANCELLED
    assert record(db, held.id).state == JobState.CANCELLED


def test_a_job_that_was_to_be_cancelled_is_not_claimed(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    cancel_job(db, PROJECT, held.id)
    expire_lease(db, held.id)
    assert leases.claim(db, held.id, "other") is None


def test_no_attempt_beyond_the_last(db: Database) -> None:
    held = claimed(db, accepted(db, max_attempts=1).id)
    expire_lease(db, held.id)
    assert leases.claim(db, held.id, "other") is None


def test_a_paused_pool_starts_nothing(db: Database) -> None:
    here, elsewhere = accepted(db), accepted(db, pool="torch", queue="torch")
    set_paused(db, "cpu", paused=True)
    assert leases.claim(db, here.id, "worker") is None
    assert leases.claim(db, elsewhere.id, "worker") is not None
    set_paused(db, "cpu", paused=False)
    assert leases.claim(db, here.id, "worker") is not None
