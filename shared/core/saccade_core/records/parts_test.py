"""A job that is split: its parts, its join, and every way in which they may end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from saccade_core.errors import (
    Conflict,
    EngineFailed,
    LeaseLost,
    NotFound,
    StorageFailed,
    UnreadableInput,
    WorkerLost,
)
from saccade_core.ids import folder_of, owner_of, parent_of, part_id
from saccade_core.jobs import JobState
from saccade_core.parts import Part
from saccade_core.records import fleet, leases, parts, removals, repair, statistics
from saccade_core.records.database import Database
from saccade_core.records.lookups import PARTS_SHOWN, JobFilter, get_job, list_artifacts, list_attempts, list_jobs
from saccade_core.records.requests import cancel_job, delete_job, retry_job
from saccade_core.records.tables import JobRow
from servers.records import PROJECT, accepted, alter, claimed, expire_lease, record, succeed

FINAL = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


def _split(db: Database, count: int = 3, **options: Any) -> str:
    """The id of a job that was split into so many parts; the heavier the later."""
    job = claimed(db, accepted(db, **options).id, "planner")
    planned = [Part(i, {"start": i}, weight=1.0 + i) for i in range(count)]
    assert leases.split(db, job, planned, "cpu.bulk") is JobState.RUNNING
    return job.id


def _parts(db: Database, job_id: str) -> list[JobRow]:
    with db.read() as session:
        return list(session.scalars(select(JobRow).where(JobRow.parent_id == job_id).order_by(JobRow.part)))


def _states(db: Database, job_id: str) -> list[str]:
    return [row.state for row in _parts(db, job_id)]


def _outcomes(db: Database, job_id: str) -> list[str | None]:
    return [attempt.outcome for attempt in list_attempts(db, job_id)]


def _stored(name: str, key: str) -> leases.StoredArtifact:
    return leases.StoredArtifact(name, "text/plain", 1, "0" * 64, key)


def _finish(db: Database, job_id: str, index: int) -> None:
    row = claimed(db, part_id(job_id, index))
    succeed(db, row, _stored("a.txt", f"{folder_of(row.id)}{row.token}/a.txt"))


def _claimed_parts(db: Database, job_id: str) -> list[JobRow]:
    return [claimed(db, row.id, f"worker-{row.part}") for row in _parts(db, job_id)]


def _names(db: Database, job_id: str) -> list[str]:
    return [a.name for a in get_job(db, PROJECT, job_id).artifacts]


def test_ids_of_parts_and_places_of_their_bytes() -> None:
    part = part_id("job_x", 3)
    assert (part, parent_of(part), parent_of("job_x")) == ("job_x.p0003", "job_x", None)
    assert folder_of("job_x") == "jobs/job_x/"
    assert folder_of(part) == "jobs/job_x/parts/0003/"
    for job_id in ("job_x", part):
        assert owner_of(f"{folder_of(job_id)}2/a/b.txt") == (job_id, "2/a/b.txt")


def test_a_job_waits_for_its_parts_without_a_lease(db: Database) -> None:
    job_id = _split(db, max_attempts=5, deadline_s=100.0)
    job = record(db, job_id)
    assert (job.state, job.lease_until, job.attempt, job.parts_total, job.parts_left) == ("running", None, 1, 3, 3)
    assert _outcomes(db, job_id) == ["split"]
    assert leases.claim(db, job_id, "other") is None
    assert repair.take_back_expired(db) == []
    for index, part in enumerate(_parts(db, job_id)):
        assert part.id == f"{job_id}.p000{index}"
        assert (part.state, part.queue, part.part_spec) == ("queued", "cpu.bulk", {"start": index})
        assert (part.max_attempts, part.deadline_at, part.kind) == (5, job.deadline_at, job.kind)


def test_a_part_is_run_with_what_its_job_was_asked_with(db: Database) -> None:
    job_id = _split(db, inputs={"file": "data:text/plain,abc"}, params={"text": "x"})
    assert [(part.inputs, part.params) for part in _parts(db, job_id)] == [({}, {})] * 3
    part = claimed(db, part_id(job_id, 1))
    assert (part.inputs, part.params) == ({"file": "data:text/plain,abc"}, {"text": "x"})
    succeed(db, part)
    assert [(part.inputs, part.params) for part in _parts(db, job_id)] == [({}, {})] * 3


def test_a_record_comes_with_some_of_what_its_parts_made_and_lists_with_none(db: Database) -> None:
    whole = claimed(db, accepted(db).id)
    succeed(db, whole, _stored("parts/own.txt", "jobs/whole/1/own.txt"))
    job_id = _split(db, 2)
    row = claimed(db, part_id(job_id, 0))
    names = [f"{number:03d}.txt" for number in range(PARTS_SHOWN + 5)]
    succeed(db, row, *(_stored(name, f"{folder_of(row.id)}{row.token}/{name}") for name in names))
    every = [f"parts/0000/{name}" for name in names]
    assert [a.name for a in list_artifacts(db, PROJECT, job_id)] == every
    assert _names(db, job_id) == every[:PARTS_SHOWN]
    listed = {found.row.id: [a.name for a in found.artifacts] for found in list_jobs(db, PROJECT, JobFilter())}
    assert listed == {job_id: [], whole.id: ["parts/own.txt"]}
    assert _names(db, whole.id) == ["parts/own.txt"]
    with pytest.raises(NotFound):
        list_artifacts(db, PROJECT, part_id(job_id, 0))


def test_who_lost_the_job_does_not_split_it(db: Database) -> None:
    old = claimed(db, accepted(db).id)
    expire_lease(db, old.id)
    claimed(db, old.id, "new")
    with pytest.raises(LeaseLost):
        leases.split(db, old, [Part(0, {})], "cpu.bulk")
    assert _parts(db, old.id) == []


def test_the_planner_cannot_keep_the_job_after_the_split(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    leases.split(db, job, [Part(0, {})], "cpu.bulk")
    with pytest.raises(LeaseLost):
        leases.heartbeat(db, job.id, job.token, None)
    assert record(db, job.id).lease_until is None


def test_a_cancel_before_the_split_ends_the_job(db: Database) -> None:
    job = claimed(db, accepted(db).id)
    cancel_job(db, PROJECT, job.id)
    assert leases.split(db, job, [Part(0, {})], "cpu.bulk") is JobState.CANCELLED
    assert (record(db, job.id).state, _parts(db, job.id)) == (JobState.CANCELLED, [])


def test_what_parts_made_is_the_jobs_until_the_join(db: Database) -> None:
    job_id = _split(db)
    _finish(db, job_id, 1)
    assert _names(db, job_id) == ["parts/0001/a.txt"]
    assert parts.join_due(db, part_id(job_id, 1)) is None
    for index in (2, 0):
        _finish(db, job_id, index)
    due = parts.join_due(db, part_id(job_id, 0))
    assert due is not None and (due.id, due.queue, due.seen_state) == (job_id, "cpu", JobState.RUNNING)
    finished = parts.finished_parts(db, job_id)
    assert [f.part.index for f in finished] == [0, 1, 2]
    assert finished[1].result == {"token": 1} and finished[1].provenance == {"device": "cpu"}
    assert [a.name for a in finished[1].artifacts] == ["parts/0001/a.txt"]
    join = claimed(db, job_id, "joiner")
    succeed(db, join, _stored("all.txt", f"jobs/{job_id}/{join.token}/all.txt"))
    done = get_job(db, PROJECT, job_id)
    assert (done.row.state, [a.name for a in done.artifacts]) == (JobState.SUCCEEDED, ["all.txt"])
    assert _parts(db, job_id) == []
    assert list(removals.due(db, 10)) == [f"jobs/{job_id}/parts/"]


def test_split_and_join_are_one_attempt(db: Database) -> None:
    job_id = _split(db, 1, max_attempts=1)
    started = record(db, job_id).started_at
    _finish(db, job_id, 0)
    join = claimed(db, job_id)
    assert (join.attempt, join.started_at) == (1, started)
    assert leases.release(db, join) is JobState.QUEUED
    assert record(db, job_id).seen_state is JobState.RUNNING
    join = claimed(db, job_id)
    assert (join.attempt, join.started_at) == (1, started)
    succeed(db, join)
    assert record(db, job_id).attempt == 1
    assert _outcomes(db, job_id) == ["split", "released", "succeeded"]


def test_a_join_that_dies_is_tried_again_and_keeps_the_parts(db: Database) -> None:
    job_id = _split(db, 2, max_attempts=2)
    for index in range(2):
        _finish(db, job_id, index)
    assert leases.fail(db, claimed(db, job_id), WorkerLost("died")) is JobState.QUEUED
    join = claimed(db, job_id)
    assert join.attempt == 2
    assert len(parts.finished_parts(db, job_id)) == 2
    assert leases.fail(db, join, WorkerLost("died")) is JobState.FAILED
    assert retry_job(db, PROJECT, job_id).state == JobState.QUEUED  # straight to the join
    succeed(db, claimed(db, job_id))
    assert record(db, job_id).state == JobState.SUCCEEDED


def test_a_join_has_one_attempt_more_where_the_plan_took_the_last(db: Database) -> None:
    job_id = _split(db, 1, max_attempts=1)
    _finish(db, job_id, 0)
    expire_lease(db, claimed(db, job_id).id)
    assert [row.state for row in repair.take_back_expired(db)] == [JobState.QUEUED]
    join = claimed(db, job_id)
    assert (join.attempt, join.max_attempts) == (2, 2)
    assert leases.fail(db, join, WorkerLost("died")) is JobState.FAILED


def test_a_part_is_tried_again_like_a_job(db: Database) -> None:
    job_id = _split(db, 1, max_attempts=3)
    part = part_id(job_id, 0)
    assert leases.fail(db, claimed(db, part), EngineFailed("bad")) is JobState.WAITING
    alter(db, part, run_at=1.0)
    assert repair.wake_due(db) == 1
    assert leases.fail(db, claimed(db, part), WorkerLost("died")) is JobState.QUEUED
    assert leases.release(db, claimed(db, part)) is JobState.QUEUED
    expire_lease(db, claimed(db, part).id)
    assert [row.state for row in repair.take_back_expired(db)] == [JobState.FAILED]
    job = record(db, job_id)
    assert (job.state, job.error and job.error["code"]) == (JobState.FAILED, "worker_lost")


def test_a_part_that_fails_fails_the_job_and_its_siblings(db: Database) -> None:
    job_id = _split(db, 4)
    _finish(db, job_id, 0)
    running, failing = claimed(db, part_id(job_id, 1)), claimed(db, part_id(job_id, 2))
    error = UnreadableInput("Frame 7 is broken.", field="inputs.media")
    assert leases.fail(db, failing, error) is JobState.FAILED
    job = record(db, job_id)
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("unreadable_input", "inputs.media")
    assert job.error["message"] == "Part 0002: Frame 7 is broken."
    assert job.finished_at is not None and job.publish_at is None
    assert _states(db, job_id) == ["succeeded", "cancelled", "failed", "cancelled"]
    with pytest.raises(LeaseLost):
        leases.heartbeat(db, running.id, running.token, None)
    with pytest.raises(LeaseLost):
        succeed(db, running)
    assert _outcomes(db, running.id) == ["cancelled"]
    assert _names(db, job_id) == ["parts/0000/a.txt"]  # what was done can still be looked at


def test_a_cancel_ends_a_split_job_at_once(db: Database) -> None:
    job_id = _split(db)
    _finish(db, job_id, 0)
    running = claimed(db, part_id(job_id, 1))
    assert cancel_job(db, PROJECT, job_id).state == JobState.CANCELLED
    assert _states(db, job_id) == ["succeeded", "cancelled", "cancelled"]
    for late in (lambda: succeed(db, running), lambda: leases.fail(db, running, EngineFailed("late"))):
        with pytest.raises(LeaseLost):
            late()
    assert leases.claim(db, part_id(job_id, 2), "late") is None
    assert cancel_job(db, PROJECT, job_id).state == JobState.CANCELLED


def test_a_cancel_ends_a_job_that_is_due_for_its_join(db: Database) -> None:
    job_id = _split(db, 1)
    _finish(db, job_id, 0)
    assert cancel_job(db, PROJECT, job_id).state == JobState.CANCELLED
    assert leases.claim(db, job_id, "late") is None


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_retry_runs_only_what_is_not_done(db: Database, ending: str) -> None:
    job_id = _split(db, 3, deadline_s=100.0)
    _finish(db, job_id, 1)
    old = claimed(db, part_id(job_id, 0))
    if ending == "failed":
        leases.fail(db, claimed(db, part_id(job_id, 2)), UnreadableInput("bad"))
    else:
        cancel_job(db, PROJECT, job_id)
    again = retry_job(db, PROJECT, job_id)
    assert (again.seen_state, again.parts_left, again.error, again.deadline_at) == (JobState.RUNNING, 2, None, None)
    assert _states(db, job_id) == ["queued", "succeeded", "queued"]
    assert [p.deadline_at for p in _parts(db, job_id)][::2] == [None, None]
    with pytest.raises(LeaseLost):
        succeed(db, old)
    for index in (0, 2):
        _finish(db, job_id, index)
    join = claimed(db, job_id)
    assert join.attempt == 1
    succeed(db, join)
    assert record(db, job_id).state == JobState.SUCCEEDED


def test_a_running_split_job_cannot_be_retried_or_deleted(db: Database) -> None:
    job_id = _split(db)
    for call in (retry_job, delete_job):
        with pytest.raises(Conflict, match="running"):
            call(db, PROJECT, job_id)


def test_deleting_or_expiring_a_job_takes_its_parts(db: Database) -> None:
    deleted, expiring = _split(db), _split(db, ttl_s=1.0)
    for job_id in (deleted, expiring):
        _finish(db, job_id, 0)
        cancel_job(db, PROJECT, job_id)
    delete_job(db, PROJECT, deleted)
    alter(db, expiring, expires_at=1.0)
    assert list(repair.remove_expired_jobs(db)) == [expiring]
    for job_id in (deleted, expiring):
        assert _parts(db, job_id) == []
        assert list_attempts(db, part_id(job_id, 0)) == []


def _plan_more(db: Database, job_id: str, *, first: int, count: int = 2, expected: int = 0) -> JobRow:
    """The join of the job, which is due, plans more parts; all of the weight 1."""
    join = claimed(db, job_id, "joiner")
    planned = [Part(i, {"start": i}) for i in range(first, first + count)]
    assert leases.split(db, join, planned, "cpu.bulk", expected) is JobState.RUNNING
    return join


def _rounds(db: Database, *, expected: int = 0, **options: Any) -> str:
    """The id of a job whose first two parts, of the weights 1 and 1, are done."""
    job = claimed(db, accepted(db, **options).id, "planner")
    leases.split(db, job, [Part(i, {}) for i in range(2)], "cpu.bulk", expected)
    for index in range(2):
        _finish(db, job.id, index)
    return job.id


def test_a_join_may_plan_more_parts(db: Database) -> None:
    job_id = _rounds(db)
    join = _plan_more(db, job_id, first=2)
    job = record(db, job_id)
    assert (job.state, job.seen_state, job.parts_left, job.parts_total) == (JobState.RUNNING, JobState.RUNNING, 2, 4)
    assert job.lease_until is None
    with pytest.raises(LeaseLost):
        succeed(db, join)
    assert _states(db, job_id) == ["succeeded", "succeeded", "queued", "queued"]
    assert _names(db, job_id) == ["parts/0000/a.txt", "parts/0001/a.txt"]
    for index in (3, 2):
        _finish(db, job_id, index)
    due = parts.join_due(db, part_id(job_id, 2))
    assert due is not None and due.id == job_id
    assert [f.part.index for f in parts.finished_parts(db, job_id)] == [0, 1, 2, 3]
    succeed(db, claimed(db, job_id), _stored("all.txt", "jobs/all.txt"))
    done = get_job(db, PROJECT, job_id)
    assert (done.row.state, done.row.attempt, [a.name for a in done.artifacts]) == (JobState.SUCCEEDED, 1, ["all.txt"])
    assert (_parts(db, job_id), _outcomes(db, job_id)) == ([], ["split", "split", "succeeded"])


def test_who_lost_the_join_plans_no_parts(db: Database) -> None:
    job_id = _rounds(db)
    old = claimed(db, job_id, "old")
    expire_lease(db, job_id)
    assert [row.state for row in repair.take_back_expired(db)] == [JobState.QUEUED]
    _plan_more(db, job_id, first=2)
    with pytest.raises(LeaseLost):
        leases.split(db, old, [Part(2, {})], "cpu.bulk")
    assert _states(db, job_id)[2:] == ["queued", "queued"]


def test_each_join_has_an_attempt_left_and_parts_as_many_as_the_job_was_given(db: Database) -> None:
    job_id = _rounds(db, max_attempts=1)
    for first in (2, 4):
        assert leases.fail(db, claimed(db, job_id), WorkerLost("died")) is JobState.QUEUED
        _plan_more(db, job_id, first=first)
        for index in (first, first + 1):
            _finish(db, job_id, index)
    assert {row.max_attempts for row in _parts(db, job_id)} == {1}
    assert leases.fail(db, claimed(db, job_id), WorkerLost("died")) is JobState.QUEUED
    assert leases.fail(db, claimed(db, job_id), WorkerLost("died")) is JobState.FAILED


def test_splits_are_no_outages(db: Database) -> None:
    job_id = _rounds(db)
    for first in range(2, 2 + leases.OUTAGE_TRIES):
        _plan_more(db, job_id, first=first, count=1)
        _finish(db, job_id, first)
    begin = record(db, job_id).queued_at or 0.0
    assert leases.fail(db, claimed(db, job_id), StorageFailed("away")) is JobState.WAITING
    assert (record(db, job_id).run_at or 0.0) - begin < 100  # and not the minutes of a 20th try


def test_progress_of_a_job_that_will_have_more_parts_goes_up_only(db: Database) -> None:
    job_id = _rounds(db, expected=6)
    seen = [record(db, job_id).progress]
    for first, expected in ((2, 6), (4, 0)):
        _plan_more(db, job_id, first=first, expected=expected)
        seen.append(get_job(db, PROJECT, job_id).parts_progress)
        for index in (first, first + 1):
            _finish(db, job_id, index)
        seen.append(record(db, job_id).progress)
    told = [(round(p["fraction"], 4), p["stage"]) for p in seen if p is not None]
    assert told == [
        (0.3, "joining"),
        (0.3, "part 3 of 6"),
        (0.6, "joining"),
        (0.6, "part 5 of 6"),
        (0.9, "joining"),
    ]


def test_a_retry_of_a_failed_join_begins_where_it_was(db: Database) -> None:
    job_id = _rounds(db, expected=6)
    assert leases.fail(db, claimed(db, job_id), UnreadableInput("bad")) is JobState.FAILED
    again = retry_job(db, PROJECT, job_id)
    assert (again.state, again.seen_state) == (JobState.QUEUED, JobState.RUNNING)
    assert again.progress is not None and again.progress["fraction"] == pytest.approx(0.3)


def _may_fail(db: Database) -> str:
    """The id of a job in three parts of which the second failed, and may."""
    job = claimed(db, accepted(db).id, "planner")
    leases.split(db, job, [Part(i, {}, may_fail=i > 0) for i in range(3)], "cpu.bulk")
    failing = claimed(db, part_id(job.id, 1))
    assert leases.fail(db, failing, UnreadableInput("It diverged.")) is JobState.FAILED
    return job.id


def test_a_part_that_may_fail_is_done_when_it_has(db: Database) -> None:
    job_id = _may_fail(db)
    assert (record(db, job_id).seen_state, record(db, job_id).parts_left) == (JobState.RUNNING, 2)
    shown = get_job(db, PROJECT, job_id).parts_progress
    assert shown is not None and (shown["stage"], shown["done"]) == ("part 2 of 3", 1.0)
    lost = claimed(db, part_id(job_id, 2), "lost")
    alter(db, lost.id, max_attempts=1)
    expire_lease(db, lost.id)
    assert [row.state for row in repair.take_back_expired(db)] == [JobState.FAILED]
    _finish(db, job_id, 0)
    assert parts.join_due(db, part_id(job_id, 1)) is not None
    finished = parts.finished_parts(db, job_id)
    assert [f.error and f.error["code"] for f in finished] == [None, "unreadable_input", "worker_lost"]
    succeed(db, claimed(db, job_id))
    assert record(db, job_id).state == JobState.SUCCEEDED


def test_a_retry_does_not_repeat_a_part_that_may_fail_and_did(db: Database) -> None:
    job_id = _may_fail(db)
    leases.fail(db, claimed(db, part_id(job_id, 0)), UnreadableInput("bad"))  # one that may not
    assert record(db, job_id).state == JobState.FAILED
    assert _states(db, job_id) == ["failed", "failed", "cancelled"]
    retry_job(db, PROJECT, job_id)
    assert _states(db, job_id) == ["queued", "failed", "queued"]
    for index in (0, 2):
        _finish(db, job_id, index)
    assert record(db, job_id).state == JobState.QUEUED


def test_users_see_no_parts(db: Database) -> None:
    job_id = _split(db)
    _finish(db, job_id, 0)
    assert [found.row.id for found in list_jobs(db, PROJECT, JobFilter())] == [job_id]
    part = part_id(job_id, 1)
    for call in (get_job, cancel_job, retry_job, delete_job):
        with pytest.raises(NotFound):
            call(db, PROJECT, part)
    assert statistics.job_counts(db) == [("probe", "running", 1)]
    assert statistics.finished_jobs(db) == []
    [state] = fleet.queue_states(db)
    assert (state.queue, state.queued, state.running) == ("cpu.bulk", 2, 0)


def test_a_job_that_is_due_for_its_join_is_listed_as_running(db: Database) -> None:
    job_id = _split(db, 1)
    _finish(db, job_id, 0)
    assert record(db, job_id).state == JobState.QUEUED

    def listed(state: JobState) -> list[str]:
        return [found.row.id for found in list_jobs(db, PROJECT, JobFilter(states=[state]))]

    assert (listed(JobState.RUNNING), listed(JobState.QUEUED)) == ([job_id], [])


def test_progress_is_the_sum_of_the_parts(db: Database) -> None:
    job_id = _split(db, 3)  # of the weights 1, 2 and 3
    _finish(db, job_id, 0)
    half = claimed(db, part_id(job_id, 2))
    leases.heartbeat(db, half.id, half.token, {"fraction": 0.5})
    progress = get_job(db, PROJECT, job_id).parts_progress
    assert progress is not None
    assert progress["fraction"] == pytest.approx(parts.PARTS_SHARE * 2.5 / 6, abs=1e-4)
    assert (progress["stage"], progress["done"], progress["total"]) == ("part 2 of 3", 2.5, 6.0)
    assert progress["eta_s"] is not None
    assert [f.parts_progress for f in list_jobs(db, PROJECT, JobFilter())] == [
        progress | {"eta_s": pytest.approx(0, abs=60)}
    ]


def test_what_an_earlier_try_did_says_nothing_of_the_pace(db: Database) -> None:
    job_id = _split(db, 2)
    _finish(db, job_id, 1)
    cancel_job(db, PROJECT, job_id)
    retry_job(db, PROJECT, job_id)
    alter(db, part_id(job_id, 1), finished_at=1000.0)
    progress = get_job(db, PROJECT, job_id).parts_progress
    assert progress is not None
    assert (progress["done"], progress["eta_s"]) == (2.0, None)


def test_the_deadline_ends_a_job_in_parts(db: Database) -> None:
    job_id = _split(db, deadline_s=100.0)
    running = claimed(db, part_id(job_id, 0))
    assert repair.end_overdue(db) == []
    with db.write() as session:
        for row in session.scalars(select(JobRow)):
            row.deadline_at = 1.0
    assert list(repair.end_overdue(db)) == [job_id]
    job = record(db, job_id)
    assert job.error is not None and job.error["message"] == "The job did not end within its deadline."
    assert _states(db, job_id) == ["cancelled"] * 3
    with pytest.raises(LeaseLost):
        leases.heartbeat(db, running.id, running.token, None)


def test_parts_that_finish_together_lose_no_count(db: Database) -> None:
    job_id = _split(db, 12)
    held = _claimed_parts(db, job_id)
    start = Barrier(len(held))

    def finish(row: JobRow) -> None:
        start.wait()
        succeed(db, row)

    with ThreadPoolExecutor(len(held)) as pool:
        list(pool.map(finish, held))
    job = record(db, job_id)
    assert (job.state, job.parts_left) == (JobState.QUEUED, 0)
    assert leases.claim(db, job_id, "joiner") is not None


def _fail(db: Database, row: JobRow) -> None:
    leases.fail(db, row, UnreadableInput("bad"))


def _meddle(db: Database, what: str, job_id: str, row: JobRow) -> None:
    """Something that takes the rows of many jobs, or of all parts of one."""
    match what:
        case "cancel":
            cancel_job(db, PROJECT, job_id)
        case "fail":
            _fail(db, row)
        case "deadline":
            repair.end_overdue(db)
        case "lost":
            repair.take_back_expired(db)
        case _:
            repair.publish_all_again(db)
            repair.mark_published(db, [part.id for part in _parts(db, job_id)])
            fleet.set_paused(db, "cpu", paused=False)


def _prepare(db: Database, what: str, job_id: str, row: JobRow) -> None:
    if what == "deadline":
        alter(db, job_id, deadline_at=1.0)
    if what == "lost":
        expire_lease(db, row.id)


@pytest.mark.parametrize("finish", [succeed, _fail])
@pytest.mark.parametrize("what", ["cancel", "fail", "deadline", "lost", "publish"])
def test_ends_of_parts_and_what_takes_many_rows_do_not_block_one_another(
    db: Database, what: str, finish: Callable[[Database, JobRow], None]
) -> None:
    job_id = _split(db, 10, max_attempts=1, deadline_s=1000.0)
    held = [claimed(db, part_id(job_id, index)) for index in range(8)]
    _prepare(db, what, job_id, held[7])
    start = Barrier(len(held))

    def end(index: int) -> None:
        start.wait()
        with suppress(LeaseLost):
            _meddle(db, what, job_id, held[7]) if index == 7 else finish(db, held[index])

    with ThreadPoolExecutor(len(held)) as pool:
        list(pool.map(end, range(len(held))))  # a deadlock would be Unavailable
    job, states = record(db, job_id), _states(db, job_id)
    assert job.is_final == (what != "publish" or finish is _fail)
    assert not job.is_final or set(states) <= FINAL
    assert job.parts_left == 10 - states.count("succeeded")


def test_bytes_of_parts_are_known_by_their_own_records(db: Database) -> None:
    job_id = _split(db, 2)
    _finish(db, job_id, 0)
    known = repair.jobs_of_prefixes(db, [job_id, part_id(job_id, 0), part_id(job_id, 7)])
    assert known[part_id(job_id, 0)] == repair.KnownJob(1, final=True)
    assert not known[job_id].final
    assert part_id(job_id, 7) not in known


def test_a_dead_workers_lease_can_be_ended_at_once(db: Database) -> None:
    job = claimed(db, accepted(db).id, "dead")
    assert not leases.abandon(db, job.id, job.token + 1)
    assert repair.take_back_expired(db) == []
    assert leases.abandon(db, job.id, job.token)
    assert [row.state for row in repair.take_back_expired(db)] == [JobState.QUEUED]
    assert not leases.abandon(db, job.id, job.token)
