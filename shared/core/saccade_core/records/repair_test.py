from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import pytest
from sqlalchemy import insert, select, update

from saccade_core.errors import NotFound
from saccade_core.jobs import JobState
from saccade_core.records import repair
from saccade_core.records.database import Database, now
from saccade_core.records.files import get_file
from saccade_core.records.fleet import set_paused
from saccade_core.records.lookups import get_job, list_attempts
from saccade_core.records.requests import cancel_job, retry_job
from saccade_core.records.tables import FileRow, JobReadRow, JobRow, LockRow
from servers.records import PROJECT, accepted, alter, claimed, expire_file, expire_lease, filed, record, succeed


def _publish_pause(db: Database, job_id: str) -> float:
    """Seconds from now until the keeper looks at the job again."""
    with db.read() as session:
        return session.execute(select(JobRow.publish_at - now()).where(JobRow.id == job_id)).scalar_one() or 0.0


def test_waiting_jobs_are_queued_when_their_time_has_come(db: Database) -> None:
    later, due = accepted(db, run_at=4e9), accepted(db, run_at=1.0)
    assert repair.wake_due(db) == 1
    assert repair.wake_due(db) == 0
    assert record(db, later.id).state == JobState.WAITING
    assert record(db, due.id).state == JobState.QUEUED
    assert repair.publishable(db, "cpu", 10) == [due.id]


def test_a_job_is_published_with_a_growing_pause(db: Database) -> None:
    job = accepted(db)
    assert repair.publishable(db, "cpu", 10) == []  # the gateway does it first
    pauses: list[float] = []
    for _ in range(10):
        alter(db, job.id, publish_at=now() - 1.0)
        assert repair.publishable(db, "cpu", 10) == [job.id]
        repair.mark_published(db, [job.id])
        assert repair.publishable(db, "cpu", 10) == []
        pauses.append(_publish_pause(db, job.id))
    assert pauses[0] == pytest.approx(5.0, abs=1.0)
    assert all(b > a - 0.1 for a, b in pairwise(pauses))
    assert pauses[-1] == pytest.approx(300.0, abs=1.0)


def test_publishable_looks_at_one_queue_and_takes_the_oldest_first(db: Database) -> None:
    jobs = [accepted(db) for _ in range(3)]
    other = accepted(db, queue="cpu.bulk")
    for age, job in enumerate([*jobs, other]):
        alter(db, job.id, publish_at=now() - 10.0 - age)
    assert repair.publishable(db, "cpu", 2) == [jobs[2].id, jobs[1].id]
    assert repair.publishable(db, "cpu.bulk", 10) == [other.id]
    assert repair.queued_by_queue(db) == {"cpu": 3, "cpu.bulk": 1}


def test_a_claimed_job_is_not_published(db: Database) -> None:
    job = accepted(db)
    alter(db, job.id, publish_at=now() - 1.0)
    held = claimed(db, job.id)
    repair.mark_published(db, [job.id])  # it was published a moment before the claim
    assert repair.publishable(db, "cpu", 10) == []
    assert record(db, held.id).publish_at is None


def test_after_the_loss_of_redis_every_queued_job_is_published(db: Database) -> None:
    queued, running = accepted(db), claimed(db, accepted(db).id)
    repair.mark_published(db, [queued.id])
    repair.publish_all_again(db)
    assert repair.publishable(db, "cpu", 10) == [queued.id]
    assert record(db, running.id).publish_at is None


def test_a_paused_pool_is_not_counted(db: Database) -> None:
    job = accepted(db)
    set_paused(db, "cpu", paused=True)
    assert repair.queued_by_queue(db) == {}
    set_paused(db, "cpu", paused=False)
    assert repair.publishable(db, "cpu", 10) == [job.id]  # at once


def test_a_silent_workers_job_is_queued_again(db: Database) -> None:
    alive, dead = claimed(db, accepted(db).id), claimed(db, accepted(db).id)
    expire_lease(db, dead.id)
    assert [(job.id, job.state) for job in repair.take_back_expired(db)] == [(dead.id, JobState.QUEUED)]
    assert repair.take_back_expired(db) == []
    row = record(db, dead.id)
    assert (row.state, row.attempt, row.token, row.lease_until) == (JobState.QUEUED, 1, 2, None)
    assert record(db, alive.id).state == JobState.RUNNING
    assert repair.publishable(db, "cpu", 10) == [dead.id]
    assert [a.outcome for a in list_attempts(db, dead.id)] == ["lost"]


def test_a_job_whose_workers_all_died_has_failed(db: Database) -> None:
    job = accepted(db, max_attempts=2, ttl_s=5.0)
    for _ in range(2):
        claimed(db, job.id)
        expire_lease(db, job.id)
        repair.take_back_expired(db)
    row = record(db, job.id)
    assert row.state == JobState.FAILED
    assert row.error is not None
    assert row.error["code"] == "worker_lost"
    assert row.error["message"] == ("The worker that ran it stopped reporting, and no attempt is left (2 were made).")
    assert row.finished_at is not None
    assert row.expires_at is not None


def test_a_cancelled_job_whose_worker_died_is_cancelled(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    cancel_job(db, PROJECT, held.id)
    expire_lease(db, held.id)
    assert [job.state for job in repair.take_back_expired(db)] == [JobState.CANCELLED]
    row = record(db, held.id)
    assert (row.state, row.error) == (JobState.CANCELLED, None)
    assert row.finished_at is not None


def test_jobs_that_did_not_start_by_their_deadline_have_failed(db: Database) -> None:
    late = accepted(db, deadline_s=1.0)
    waiting = accepted(db, deadline_s=1.0, run_at=4e9)
    running = claimed(db, accepted(db, deadline_s=1.0).id)
    in_time = accepted(db, deadline_s=1000.0)
    for job in (late, waiting, running):
        alter(db, job.id, deadline_at=now() - 1.0)
    assert set(repair.end_overdue(db)) == {late.id, waiting.id}
    assert repair.end_overdue(db) == []
    row = record(db, late.id)
    assert row.error is not None
    assert (row.state, row.error["code"]) == (JobState.FAILED, "deadline_exceeded")
    assert record(db, running.id).state == JobState.RUNNING
    assert record(db, in_time.id).state == JobState.QUEUED


def test_ended_jobs_are_removed_when_their_time_is_over(db: Database) -> None:
    over, kept, forever = (claimed(db, accepted(db, ttl_s=ttl).id) for ttl in (1.0, 1000.0, None))
    for job in (over, kept, forever):
        succeed(db, job)
    alter(db, over.id, expires_at=now() - 1.0)
    unfinished = accepted(db)
    alter(db, unfinished.id, expires_at=now() - 1.0)
    assert repair.remove_expired_jobs(db) == [over.id]
    assert repair.remove_expired_jobs(db) == []
    with pytest.raises(NotFound):
        get_job(db, PROJECT, over.id)


def test_a_retried_job_is_not_removed(db: Database) -> None:
    job = accepted(db, ttl_s=1.0)
    cancel_job(db, PROJECT, job.id)
    alter(db, job.id, expires_at=now() - 1.0)
    retry_job(db, PROJECT, job.id)
    assert repair.remove_expired_jobs(db) == []


def test_expired_files_are_removed_unless_an_unfinished_job_reads_them(db: Database) -> None:
    unread, read, fresh = filed(db), filed(db), filed(db)
    for file_id in (unread, read):
        expire_file(db, file_id)
    held = claimed(db, accepted(db, file_ids=[read]).id)
    assert list(repair.remove_expired_files(db)) == [f"files/{unread}"]
    succeed(db, held)
    assert list(repair.remove_expired_files(db)) == [f"files/{read}"]
    assert get_file(db, PROJECT, fresh).id == fresh


def test_a_file_is_not_removed_under_a_job_that_is_being_accepted(db: Database) -> None:
    """The acceptance holds the file's row; the removal, which began before its end, must see the job."""
    file_id = filed(db)
    expire_file(db, file_id)
    job = accepted(db)
    holding, go_on = Event(), Event()

    def accept_slowly() -> None:
        with db.write() as session:
            session.scalars(select(FileRow.id).where(FileRow.id == file_id).with_for_update()).all()
            session.execute(insert(JobReadRow).values(job_id=job.id, read_id=file_id))
            holding.set()
            go_on.wait(5)

    with ThreadPoolExecutor(2) as pool:
        accepting = pool.submit(accept_slowly)
        assert holding.wait(10)
        removing = pool.submit(repair.remove_expired_files, db)
        go_on.wait(0.3)
        go_on.set()
        accepting.result()
        assert list(removing.result()) == []
    assert get_file(db, PROJECT, file_id).id == file_id


def test_one_holder_of_a_lock_at_a_time(db: Database) -> None:
    assert repair.take_lock(db, "keeper", "a", 100.0)
    assert repair.take_lock(db, "keeper", "a", 100.0)
    assert not repair.take_lock(db, "keeper", "b", 100.0)
    assert repair.take_lock(db, "other", "b", 100.0)
    with db.write() as session:
        session.execute(update(LockRow).values(until=now() - 1.0))
    assert repair.take_lock(db, "keeper", "b", 100.0)
    assert not repair.take_lock(db, "keeper", "a", 100.0)


def test_twenty_that_want_the_lock(db: Database) -> None:
    def take(number: int) -> bool:
        return repair.take_lock(db, "keeper", f"k{number}", 100.0)

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(take, range(20)))
    assert sum(got) == 1


def test_what_the_records_know_of_bytes(db: Database) -> None:
    held, queued = claimed(db, accepted(db).id), accepted(db)
    succeed(db, held)
    known = repair.jobs_of_prefixes(db, {held.id, queued.id, "job_none"})
    assert known == {held.id: repair.KnownJob(1, final=True), queued.id: repair.KnownJob(0, final=False)}
    file_id = filed(db)
    assert repair.unknown_file_keys(db, [f"files/{file_id}", "files/none"]) == ["files/none"]


def test_a_kept_lock_is_not_written_each_time(db: Database) -> None:
    def until() -> float:
        with db.read() as session:
            return session.execute(select(LockRow.until)).scalar_one()

    repair.take_lock(db, "keeper", "a", 100.0)
    first = until()
    assert repair.take_lock(db, "keeper", "a", 100.0)
    assert not repair.take_lock(db, "keeper", "b", 100.0)
    assert until() == first
    with db.write() as session:
        session.execute(update(LockRow).values(until=LockRow.until - 60.0))
    assert repair.take_lock(db, "keeper", "a", 100.0)
    assert until() >= first


def test_a_lock_that_is_given_back_is_free(db: Database) -> None:
    repair.take_lock(db, "keeper", "a", 100.0)
    repair.release_lock(db, "keeper", "b")
    assert not repair.take_lock(db, "keeper", "b", 100.0)
    repair.release_lock(db, "keeper", "a")
    assert repair.take_lock(db, "keeper", "b", 100.0)
