from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, update

from saccade_core.errors import Conflict, IdempotencyConflict, NotFound, UnknownReference, UnreadableInput
from saccade_core.ids import new_id
from saccade_core.jobs import FINAL_STATES, JobState
from saccade_core.records import leases, repair
from saccade_core.records.database import Database, now
from saccade_core.records.files import find_files, get_file, remove_file
from saccade_core.records.lookups import JobFilter, find_artifacts, get_artifact, get_job, list_attempts, list_jobs
from saccade_core.records.parts import FIRST_PUBLISH_S
from saccade_core.records.requests import accept, cancel_job, delete_job, earlier, retry_job
from saccade_core.records.tables import FileRow, JobRow
from servers.records import PROJECT, accepted, alter, claimed, filed, new_job, record, succeed


def _ids(db: Database, wanted: JobFilter, project: str = PROJECT) -> list[str]:
    return [found.row.id for found in list_jobs(db, project, wanted)]


def _finish(db: Database, job: JobRow) -> JobRow:
    held = claimed(db, job.id)
    succeed(db, held)
    return held


def test_accept_records_what_was_asked(db: Database) -> None:
    row, fresh = accept(db, new_job(params={"text": "ä"}, labels={"a": "b"}, ttl_s=60.0, deadline_s=30.0))
    assert fresh
    stored = record(db, row.id)
    assert (stored.state, stored.attempt, stored.token) == (JobState.QUEUED, 0, 0)
    assert stored.params == {"text": "ä"}
    assert stored.labels == {"a": "b"}
    assert stored.publish_at is not None
    assert stored.publish_at - stored.created_at == pytest.approx(FIRST_PUBLISH_S, abs=1.0)
    assert stored.deadline_at == pytest.approx(stored.created_at + 30.0, abs=1.0)


def test_a_job_for_later_waits(db: Database) -> None:
    row = accepted(db, run_at=4e9)
    assert row.state == JobState.WAITING
    assert row.publish_at is None
    assert leases.claim(db, row.id, "worker") is None


def test_the_same_key_and_body_give_the_same_job(db: Database) -> None:
    first, fresh = accept(db, new_job(idempotency_key="k"))
    again, fresh_again = accept(db, new_job(idempotency_key="k"))
    assert (fresh, fresh_again) == (True, False)
    assert again.id == first.id
    assert len(_ids(db, JobFilter())) == 1


def test_the_same_key_with_another_body_is_refused(db: Database) -> None:
    accept(db, new_job(idempotency_key="k"))
    with pytest.raises(IdempotencyConflict) as caught:
        accept(db, new_job(idempotency_key="k", request_digest="other"))
    assert caught.value.field == "Idempotency-Key"
    assert len(_ids(db, JobFilter())) == 1


def test_keys_belong_to_a_project(db: Database) -> None:
    first, _ = accept(db, new_job(idempotency_key="k"))
    other, fresh = accept(db, new_job(idempotency_key="k", project="other"))
    assert fresh
    assert other.id != first.id


def test_twenty_at_once_with_one_key_make_one_job(db: Database) -> None:
    start = Barrier(20)

    def submit(_: int) -> tuple[str, bool]:
        start.wait()
        row, fresh = accept(db, new_job(idempotency_key="k"))
        return row.id, fresh

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(submit, range(20)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(fresh for _, fresh in answers) == 1
    assert len(_ids(db, JobFilter())) == 1


def test_a_job_names_only_files_of_its_project(db: Database) -> None:
    mine, others = filed(db), filed(db, project="other")
    assert accepted(db, file_ids=[mine, mine]).id
    for missing in (others, "file_none"):
        with pytest.raises(UnknownReference) as caught:
            accept(db, new_job(file_ids=[mine, missing]))
        assert caught.value.received == missing
    assert len(_ids(db, JobFilter())) == 1  # the refused ones left nothing


def test_a_job_may_read_many_files(db: Database) -> None:
    files = [filed(db) for _ in range(3)]
    with db.write() as session:  # more than one statement's worth, without 1,200 calls
        template = {c.name: getattr(session.get(FileRow, files[0]), c.name) for c in FileRow.__table__.columns}
        more = [{**template, "id": new_id("file")} for _ in range(1200)]
        session.execute(insert(FileRow), more)
    ids = [*files, *(row["id"] for row in more)]
    accepted(db, file_ids=ids)
    assert set(find_files(db, PROJECT, ids)) == set(ids)
    with pytest.raises(Conflict):
        remove_file(db, PROJECT, str(ids[-1]))


def test_a_file_is_kept_while_an_unfinished_job_reads_it(db: Database) -> None:
    file_id = filed(db)
    job = accepted(db, file_ids=[file_id])
    with pytest.raises(Conflict, match=job.id):
        remove_file(db, PROJECT, file_id)
    held = claimed(db, job.id)
    with pytest.raises(Conflict):
        remove_file(db, PROJECT, file_id)
    succeed(db, held)
    assert remove_file(db, PROJECT, file_id).bytes == 5_000_000_000
    with pytest.raises(NotFound):
        get_file(db, PROJECT, file_id)


def test_another_project_sees_no_file_and_no_job(db: Database) -> None:
    file_id, job = filed(db), accepted(db)
    for call in (get_file, remove_file):
        with pytest.raises(NotFound):
            call(db, "other", file_id)
    for look in (get_job, cancel_job, retry_job, delete_job):
        with pytest.raises(NotFound):
            look(db, "other", job.id)
    assert _ids(db, JobFilter(), "other") == []
    assert record(db, job.id).state == JobState.QUEUED


def test_cancel_ends_what_has_not_started(db: Database) -> None:
    for job in (accepted(db), accepted(db, run_at=4e9)):
        ended = cancel_job(db, PROJECT, job.id)
        assert ended.state == JobState.CANCELLED
        assert ended.finished_at is not None
        assert leases.claim(db, job.id, "worker") is None


def test_cancel_of_a_running_job_is_a_wish(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    asked = cancel_job(db, PROJECT, held.id)
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    leases.cancelled(db, held.id, held.token)
    assert record(db, held.id).state == JobState.CANCELLED
    assert [a.outcome for a in list_attempts(db, held.id)] == ["cancelled"]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_cancel_leaves_an_ended_job_as_it_is(db: Database, state: JobState) -> None:
    job = accepted(db)
    alter(db, job.id, state=state)
    assert cancel_job(db, PROJECT, job.id).state == state
    assert not record(db, job.id).cancel_requested


def test_retry_queues_an_ended_job_again(db: Database) -> None:
    job = accepted(db, max_attempts=1, ttl_s=1.0)
    held = claimed(db, job.id)
    leases.fail(db, held, UnreadableInput("bad"))
    again = retry_job(db, PROJECT, job.id)
    assert (again.state, again.error, again.attempt, again.max_attempts, again.expires_at) == (
        JobState.QUEUED,
        None,
        0,
        1,
        None,
    )
    succeed(db, claimed(db, job.id))
    assert [a.outcome for a in list_attempts(db, job.id)] == ["failed", "succeeded"]


def test_retry_of_a_cancelled_job_forgets_the_cancel(db: Database) -> None:
    job = accepted(db)
    cancel_job(db, PROJECT, job.id)
    assert not retry_job(db, PROJECT, job.id).cancel_requested
    assert claimed(db, job.id).attempt == 1


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED])
def test_retry_refuses_every_other_state(db: Database, state: JobState) -> None:
    job = accepted(db)
    alter(db, job.id, state=state)
    with pytest.raises(Conflict, match=state):
        retry_job(db, PROJECT, job.id)


def test_delete_takes_ended_jobs_only(db: Database) -> None:
    job = accepted(db)
    with pytest.raises(Conflict):
        delete_job(db, PROJECT, job.id)
    _finish(db, job)
    delete_job(db, PROJECT, job.id)
    with pytest.raises(NotFound):
        get_job(db, PROJECT, job.id)
    assert list_attempts(db, job.id) == []


def test_deleting_and_retrying_at_once_leave_one_truth(db: Database) -> None:
    def refused(call: Callable[[Database, str, str], object], job_id: str) -> bool:
        try:
            call(db, PROJECT, job_id)
        except (Conflict, NotFound):
            return True
        return False

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            job = accepted(db)
            cancel_job(db, PROJECT, job.id)
            retrying, deleting = (pool.submit(refused, call, job.id) for call in (retry_job, delete_job))
            assert retrying.result() != deleting.result()
            assert (job.id in _ids(db, JobFilter())) == deleting.result()


def test_artifacts_come_with_their_job(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    names = ["b.txt", "a/b.png"]
    stored = [leases.StoredArtifact(n, "text/plain", 5_000_000_000, "0" * 64, f"jobs/x/1/{n}") for n in names]
    succeed(db, held, *stored)
    assert [a.name for a in get_job(db, PROJECT, held.id).artifacts] == ["a/b.png", "b.txt"]
    assert get_artifact(db, PROJECT, held.id, "b.txt").bytes == 5_000_000_000
    with pytest.raises(NotFound):
        get_artifact(db, PROJECT, held.id, "c.txt")
    with pytest.raises(NotFound):
        get_artifact(db, "other", held.id, "b.txt")
    assert [len(j.artifacts) for j in list_jobs(db, PROJECT, JobFilter())] == [2]


def test_lists_are_newest_first_and_paged(db: Database) -> None:
    made = [accepted(db).id for _ in range(7)]
    expected = sorted(made, reverse=True)
    first = _ids(db, JobFilter(limit=3))
    second = _ids(db, JobFilter(limit=3, before_id=first[-1]))
    third = _ids(db, JobFilter(limit=3, before_id=second[-1]))
    assert first + second + third == expected
    assert _ids(db, JobFilter(before_id=third[-1])) == []


def test_list_filters(db: Database) -> None:
    plain = accepted(db)
    read = accepted(db, kind="read_text", labels={"customer": "ACME", "empty": ""})
    late = accepted(db, run_at=4e9, labels={"customer": "Other"})
    alter(db, plain.id, created_at=1000.0, batch_id="batch_1", pipeline_id="pipeline_1")
    cases = [
        (JobFilter(kind="read_text"), {read.id}),
        (JobFilter(states=[JobState.WAITING]), {late.id}),
        (JobFilter(states=[JobState.WAITING, JobState.QUEUED]), {plain.id, read.id, late.id}),
        (JobFilter(created_before=2000.0), {plain.id}),
        (JobFilter(created_after=2000.0), {read.id, late.id}),
        (JobFilter(batch="batch_1"), {plain.id}),
        (JobFilter(pipeline="pipeline_1"), {plain.id}),
        (JobFilter(labels={"customer": "ACME"}), {read.id}),
        (JobFilter(labels={"customer": None}), {read.id, late.id}),
        (JobFilter(labels={"empty": ""}), {read.id}),
        (JobFilter(labels={"customer": "ACME", "empty": "x"}), set[str]()),
    ]
    for wanted, expected in cases:
        assert set(_ids(db, wanted)) == expected, wanted


@pytest.mark.parametrize("name", ["plain", "a.b", "a/b", "0", "12-b_c"])
def test_every_name_that_a_label_may_have_can_be_filtered(db: Database, name: str) -> None:
    job = accepted(db, labels={name: "value"})
    accepted(db, labels={"another": "value"})
    assert _ids(db, JobFilter(labels={name: "value"})) == [job.id]
    assert _ids(db, JobFilter(labels={name: None})) == [job.id]


def test_a_cancel_that_meets_a_job_between_running_and_queued(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    changed, go_on = Event(), Event()

    def give_back_slowly() -> None:
        with db.write() as session:
            values = {"state": JobState.QUEUED, "lease_until": None, "publish_at": now()}
            session.execute(update(JobRow).where(JobRow.id == held.id).values(**values))
            changed.set()
            go_on.wait(5)

    with ThreadPoolExecutor(2) as pool:
        giving_back = pool.submit(give_back_slowly)
        assert changed.wait(10)
        cancelling = pool.submit(cancel_job, db, PROJECT, held.id)
        go_on.wait(0.3)
        go_on.set()
        giving_back.result()
        assert cancelling.result().state == JobState.CANCELLED
    assert record(db, held.id).state == JobState.CANCELLED


def test_a_key_that_was_used_is_found_before_anything_is_checked(db: Database) -> None:
    job = accepted(db, idempotency_key="k")
    found = earlier(db, PROJECT, "k", "digest")
    assert found is not None
    assert found.id == job.id
    assert earlier(db, PROJECT, "other", "digest") is None
    assert earlier(db, "other", "k", "digest") is None
    with pytest.raises(IdempotencyConflict):
        earlier(db, PROJECT, "k", "other")


def test_a_key_whose_job_is_deleted_at_the_same_time_is_free(db: Database) -> None:
    old = accepted(db, idempotency_key="k")

    @event.listens_for(db.engine, "before_cursor_execute")
    def delete_before_the_look(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            connection.execute(delete(JobRow).where(JobRow.id == old.id))

    row, fresh = accept(db, new_job(idempotency_key="k"))
    event.remove(db.engine, "before_cursor_execute", delete_before_the_look)
    assert fresh
    assert row.id != old.id
    assert _ids(db, JobFilter()) == [row.id]


def test_a_job_is_kept_while_an_unfinished_job_reads_its_artefacts(db: Database) -> None:
    source = _finish(db, accepted(db, ttl_s=1.0))
    reader = accepted(db, job_ids=[source.id, source.id])
    alter(db, source.id, expires_at=now() - 1.0)
    with pytest.raises(Conflict, match=reader.id):
        delete_job(db, PROJECT, source.id)
    assert repair.remove_expired_jobs(db) == []
    _finish(db, reader)
    assert repair.remove_expired_jobs(db) == [source.id]
    delete_job(db, PROJECT, reader.id)


def test_a_job_reads_artefacts_of_its_own_project_alone(db: Database) -> None:
    others = accepted(db, project="other")
    for missing in (others.id, "job_none"):
        with pytest.raises(UnknownReference) as caught:
            accept(db, new_job(job_ids=[missing]))
        assert caught.value.received == missing
    assert _ids(db, JobFilter()) == []


def test_many_artefacts_are_found_at_once(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    names = [f"{number}.txt" for number in range(300)]
    stored = [leases.StoredArtifact(n, "text/plain", 1, "0" * 64, f"jobs/x/1/{n}") for n in names]
    succeed(db, held, *stored)
    wanted = [(held.id, name) for name in names]
    missing = [(held.id, "other.txt"), ("job_none", "1.txt")]
    found = find_artifacts(db, PROJECT, [*wanted, *missing])
    assert {pair: row.key for pair, row in found.items()} == {(held.id, n): f"jobs/x/1/{n}" for n in names}
    assert find_artifacts(db, "other", wanted) == {}
    assert find_artifacts(db, PROJECT, []) == {}
