"""Any order of what users, workers, time and the keeper can do to jobs, tried by Hypothesis over real SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from saccade_core.errors import Conflict, EngineFailed, LeaseLost, UnreadableInput, WorkerLost
from saccade_core.jobs import JobState
from saccade_core.records import leases, repair
from saccade_core.records.database import Database, now
from saccade_core.records.lookups import list_attempts
from saccade_core.records.requests import cancel_job, retry_job
from saccade_core.records.tables import ArtifactRow, JobRow
from servers.records import PROJECT, accepted, alter, expire_lease, record, succeed

_WORKERS = st.sampled_from(["anna", "ben", "cleo"])


def _stored(job: JobRow) -> leases.StoredArtifact:
    return leases.StoredArtifact("a.txt", "text/plain", 1, "0" * 64, f"jobs/{job.id}/{job.token}/a.txt")


class JobLife(RuleBasedStateMachine):
    """Rules are the steps; a claim stays in the bundle after it was lost, so that old holders act too."""

    db: Database
    jobs = Bundle("jobs")
    claims = Bundle("claims")

    @initialize()
    def start(self) -> None:
        with self.db.write() as session:
            session.execute(delete(JobRow))
        self.states: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.retried: set[str] = set()
        self.wins: dict[str, int] = {}

    # Users ---------------------------------------------------------------------------------------------

    @rule(target=jobs, max_attempts=st.integers(1, 3), later=st.booleans())
    def accept(self, max_attempts: int, later: bool) -> str:
        return accepted(self.db, max_attempts=max_attempts, run_at=4e9 if later else None).id

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        cancel_job(self.db, PROJECT, job_id)

    @rule(job_id=jobs)
    def retry(self, job_id: str) -> None:
        if self.states[job_id] in (JobState.FAILED, JobState.CANCELLED):
            retry_job(self.db, PROJECT, job_id)
            self.retried.add(job_id)
        else:
            with pytest.raises(Conflict):
                retry_job(self.db, PROJECT, job_id)

    # Workers -------------------------------------------------------------------------------------------

    @rule(target=claims, job_id=jobs, worker=_WORKERS)
    def claim(self, job_id: str, worker: str) -> JobRow | None:
        return leases.claim(self.db, job_id, worker)

    @rule(held=claims)
    def keep(self, held: JobRow | None) -> None:
        self._as_holder(held, lambda job: leases.heartbeat(self.db, job.id, job.token, {"fraction": 0.5}))

    @rule(held=claims)
    def finish(self, held: JobRow | None) -> None:
        if self._as_holder(held, lambda job: succeed(self.db, job, _stored(job))) and held:
            self.wins[held.id] = held.token

    @rule(held=claims, error=st.sampled_from([EngineFailed("e"), UnreadableInput("u"), WorkerLost("w")]))
    def fail(self, held: JobRow | None, error: EngineFailed | UnreadableInput | WorkerLost) -> None:
        self._as_holder(held, lambda job: leases.fail(self.db, job, error))

    @rule(held=claims)
    def give_back(self, held: JobRow | None) -> None:
        self._as_holder(held, lambda job: leases.release(self.db, job))

    @rule(held=claims)
    def stop_where_cancelled(self, held: JobRow | None) -> None:
        if held is not None and record(self.db, held.id).cancel_requested:
            self._as_holder(held, lambda job: leases.cancelled(self.db, job.id, job.token))

    # Time and the keeper ---------------------------------------------------------------------------------

    @rule(job_id=jobs)
    def worker_falls_silent(self, job_id: str) -> None:
        if self.states[job_id] == JobState.RUNNING:
            expire_lease(self.db, job_id)

    @rule(job_id=jobs)
    def time_comes(self, job_id: str) -> None:
        if self.states[job_id] == JobState.WAITING:
            alter(self.db, job_id, run_at=now() - 1.0)

    @rule()
    def keeper_looks(self) -> None:
        repair.wake_due(self.db)
        repair.take_back_expired(self.db)
        repair.mark_published(self.db, repair.publishable(self.db, "cpu", 100))

    # What must hold after every step ---------------------------------------------------------------------

    @invariant()
    def a_final_state_is_left_through_retry_alone(self) -> None:
        for row in self._rows():
            before = self.states.get(row.id)
            if before is not None and JobState(before).final and row.id not in self.retried:
                assert row.state == before
            assert row.token >= self.tokens.get(row.id, 0)
            assert 0 <= row.attempt <= row.max_attempts
            self.states[row.id], self.tokens[row.id] = row.state, row.token
        self.retried.clear()

    @invariant()
    def at_most_one_run_took_effect(self) -> None:
        for row in self._rows():
            attempts = list_attempts(self.db, row.id)
            won = [attempt.token for attempt in attempts if attempt.outcome == "succeeded"]
            assert won == ([self.wins[row.id]] if row.id in self.wins else [])
            assert (row.state == JobState.SUCCEEDED) == bool(won)
            with self.db.read() as session:
                keys = session.scalars(select(ArtifactRow.key).where(ArtifactRow.job_id == row.id)).all()
            assert keys == [f"jobs/{row.id}/{token}/a.txt" for token in won]
            assert row.result == ({"token": won[0]} if won else None)

    @invariant()
    def a_lease_and_an_open_attempt_belong_to_a_running_job(self) -> None:
        for row in self._rows():
            running = row.state == JobState.RUNNING
            open_attempts = [a for a in list_attempts(self.db, row.id) if a.outcome is None]
            assert (row.lease_until is not None) == running
            assert [a.token for a in open_attempts] == ([row.token] if running else [])
            assert (row.publish_at is not None) == (row.state == JobState.QUEUED)
            assert (row.finished_at is not None) == row.is_final

    def teardown(self) -> None:
        """No job is ever stuck: with time, the keeper and a good worker each one ends."""
        for _ in range(2):
            for row in self._rows():
                if row.state == JobState.RUNNING:
                    expire_lease(self.db, row.id)
                if row.state == JobState.WAITING:
                    alter(self.db, row.id, run_at=now() - 1.0)
            self.keeper_looks()
            repair.publish_all_again(self.db)
            for job_id in repair.publishable(self.db, "cpu", 100):
                held = leases.claim(self.db, job_id, "good")
                assert held is not None
                succeed(self.db, held)
        assert all(row.is_final for row in self._rows())

    def _rows(self) -> Sequence[JobRow]:
        with self.db.read() as session:
            return session.scalars(select(JobRow)).all()

    def _as_holder(self, held: JobRow | None, act: Callable[[JobRow], object]) -> bool:
        """Act as the worker that made this claim; whether it still holds the job, which alone may let it act."""
        if held is None:
            return False
        row = record(self.db, held.id)
        if row.token == held.token and row.state == JobState.RUNNING:
            act(held)
            return True
        with pytest.raises(LeaseLost):
            act(held)
        return False


def test_the_life_of_jobs() -> None:
    with tempfile.TemporaryDirectory() as folder:
        JobLife.db = Database(f"sqlite:///{Path(folder)}/records.db")
        JobLife.db.migrate()
        slow = [HealthCheck.too_slow]
        limits = settings(max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=slow)
        run_state_machine_as_test(JobLife, settings=limits)
        JobLife.db.close()
