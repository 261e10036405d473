"""Jobs that are claimed and finished together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from saccade_core.jobs import JobState
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.records.fleet import set_paused
from saccade_core.records.lookups import get_job, list_attempts
from saccade_core.records.requests import cancel_job
from saccade_core.records.successes import Success, succeed_all
from saccade_core.records.tables import JobRow
from servers.records import PROJECT, accepted, claimed, expire_lease, record


def _success(job: JobRow, token: int | None = None) -> Success:
    artifact = leases.StoredArtifact("a.txt", "text/plain", 1, "0" * 64, f"jobs/{job.id}/1/a.txt")
    token = job.token if token is None else token
    return Success(job.id, token, {"id": job.id}, [artifact], {"device": "cpu"}, {"fraction": 1.0})


def test_workers_that_claim_the_same_jobs_share_none(db: Database) -> None:
    first = claimed(db, accepted(db).id)
    jobs = [accepted(db).id for _ in range(12)]
    start = Barrier(4)

    def take(number: int) -> list[JobRow]:
        start.wait()
        return leases.claim_more(db, jobs if number % 2 else jobs[::-1], first, f"worker-{number}")

    with ThreadPoolExecutor(4) as pool:
        taken = [row for rows in pool.map(take, range(4)) for row in rows]
    assert len({row.id for row in taken}) == len(taken)
    left = leases.claim_more(db, jobs, first, "last")
    assert sorted(row.id for row in [*taken, *left]) == sorted(jobs)
    for row in taken:
        stored = record(db, row.id)
        assert (stored.state, stored.worker, stored.attempt, stored.token) == (JobState.RUNNING, row.worker, 1, 1)
        assert [(a.worker, a.token, a.outcome) for a in list_attempts(db, row.id)] == [(row.worker, 1, None)]


def test_they_come_in_the_order_asked_for(db: Database) -> None:
    first = claimed(db, accepted(db).id)
    jobs = [accepted(db).id for _ in range(5)]
    asked = [jobs[3], jobs[0], "job_none", jobs[4], ""]
    assert [row.id for row in leases.claim_more(db, asked, first, "me")] == [jobs[3], jobs[0], jobs[4]]
    assert [record(db, job).state for job in (jobs[1], jobs[2])] == [JobState.QUEUED] * 2


@pytest.mark.parametrize("other", [{"kind": "edit_image"}, {"pool": "torch"}, {"queue": "cpu.bulk"}])
def test_another_kind_pool_or_queue_is_left(db: Database, other: dict[str, str]) -> None:
    first = claimed(db, accepted(db).id)
    mine, foreign = accepted(db), accepted(db, **other)
    assert [row.id for row in leases.claim_more(db, [foreign.id, mine.id], first, "me")] == [mine.id]
    assert record(db, foreign.id).state == JobState.QUEUED


def test_nothing_is_claimed_of_a_paused_pool(db: Database) -> None:
    first, job = claimed(db, accepted(db).id), accepted(db)
    set_paused(db, "cpu", paused=True)
    assert leases.claim_more(db, [job.id], first, "me") == []
    set_paused(db, "cpu", paused=False)
    assert [row.id for row in leases.claim_more(db, [job.id], first, "me")] == [job.id]


def test_what_ended_or_was_tried_before_is_claimed_alone(db: Database) -> None:
    first, tried, called_off, lost = (accepted(db) for _ in range(4))
    first = claimed(db, first.id)
    leases.release(db, claimed(db, tried.id))
    cancel_job(db, PROJECT, called_off.id)
    claimed(db, lost.id)
    expire_lease(db, lost.id)
    ids = [first.id, tried.id, called_off.id, lost.id]
    assert leases.claim_more(db, ids, first, "me") == []
    assert claimed(db, tried.id).attempt == 1
    assert claimed(db, lost.id).attempt == 2


def test_successes_are_recorded_together(db: Database) -> None:
    jobs = [claimed(db, accepted(db, ttl_s=60.0).id) for _ in range(3)]
    assert succeed_all(db, [_success(job) for job in jobs]) == {job.id for job in jobs}
    for job in jobs:
        found = get_job(db, PROJECT, job.id)
        row = found.row
        assert (row.state, row.result, row.error, row.lease_until) == ("succeeded", {"id": job.id}, None, None)
        assert (row.provenance, row.progress) == ({"device": "cpu"}, {"fraction": 1.0})
        assert row.finished_at is not None
        assert row.expires_at == pytest.approx(row.finished_at + 60.0, abs=0.1)
        assert [a.key for a in found.artifacts] == [f"jobs/{job.id}/1/a.txt"]
        [attempt] = list_attempts(db, job.id)
        assert (attempt.outcome, attempt.finished_at is None) == ("succeeded", False)


def test_a_lost_lease_among_them_takes_no_effect_and_no_other_with_it(db: Database) -> None:
    lost, good = (claimed(db, accepted(db).id) for _ in range(2))
    expire_lease(db, lost.id)
    again = claimed(db, lost.id, "other")
    assert succeed_all(db, [_success(lost), _success(good)]) == {good.id}
    found = get_job(db, PROJECT, lost.id)
    assert (found.row.state, found.row.worker, found.row.result, found.artifacts) == ("running", "other", None, [])
    assert [a.outcome for a in list_attempts(db, lost.id)] == ["lost", None]
    assert succeed_all(db, [_success(again)]) == {lost.id}
    assert succeed_all(db, [_success(again)]) == set()
