"""Galleries through a worker: enrolment with the job's success or not at all, and what a run sees of a gallery."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saccade_core.jobs import JobState
from saccade_core.records import galleries, gallery_removal
from saccade_core.records.lookups import JobWithArtifacts, get_job
from saccade_core.records.tables import JobRow
from saccade_worker.execute import execute
from saccade_worker.host import Host
from saccade_worker.settings import WorkerSettings
from servers.records import PROJECT, accepted, claimed, expire_lease, record, succeed
from servers.running import problem_of

pytestmark = pytest.mark.stack

_DATA = "data:text/plain,a"


def _enrolment(host: Host, person: str, images: int = 1, **params: Any) -> JobRow:
    given = {"gallery": "staff", "person": person, **params}
    return accepted(host.db, kind="enroller", params=given, inputs={"images": [_DATA] * images})


def _enrol(host: Host, person: str, images: int = 1, **params: Any) -> JobWithArtifacts:
    job = _enrolment(host, person, images, **params)
    execute(host, job.id)
    return get_job(host.db, PROJECT, job.id)


def _find(host: Host, gallery: str = "staff", **params: Any) -> JobWithArtifacts:
    job = accepted(host.db, kind="finder", params={"gallery": gallery, **params})
    execute(host, job.id)
    return get_job(host.db, PROJECT, job.id)


def _found(host: Host, **params: Any) -> dict[str, Any]:
    row = _find(host, **params).row
    assert row.result is not None, row.error
    return row.result


@contextmanager
def _held_back(hosts: Sequence[Host], jobs: Sequence[str], gate: Path) -> Generator[None]:
    """Execute the jobs, each by one of the hosts; the block runs while they all wait at the gate of their runs."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(execute, host, job) for host, job in zip(hosts, jobs, strict=True)]
        limit = time.monotonic() + 60
        while not (reached := gate.with_name(f"{gate.name}.reached")).exists():
            assert time.monotonic() < limit, "no run came to the gate"
            time.sleep(0.02)
        try:
            yield
        finally:
            gate.touch()
            reached.unlink()
        for each in running:
            each.result(60)


def _count(host: Host) -> tuple[int, int]:
    found = galleries.get_gallery(host.db, PROJECT, "staff")
    return found.people, found.faces


def _pictures(host: Host) -> list[str]:
    return sorted(stat.key for stat in host.blobs.list("galleries/"))


def _snapshots(host: Host) -> list[str]:
    root = host.settings.scratch_dir / "galleries"
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


def test_faces_come_with_the_jobs_success(host: Host) -> None:
    done = _enrol(host, "Zoë", images=2)
    assert done.row.state == JobState.SUCCEEDED
    assert _count(host) == (1, 2)
    newest, _ = galleries.faces_of_person(host.db, PROJECT, "staff", "Zoë")
    assert (newest.job_id, newest.quality, newest.file_id) == (done.row.id, {"sharpness": 1.5}, None)
    assert newest.source in ("inputs.images[0]=data:text/plain", "inputs.images[1]=data:text/plain")
    assert len(newest.source_sha256) == 64
    assert len(_pictures(host)) == 4
    assert host.blobs.get_range(newest.crop_key, 0, 6) == b"\xff\xd8crop"
    assert host.blobs.get_range(newest.photo_key, 0, 7) == b"\xff\xd8photo"


def test_a_run_sees_the_gallery_as_it_is_when_it_begins(host: Host) -> None:
    _enrol(host, "Ann", embedding=[1.0, 0.0])
    _enrol(host, "Ben", images=2, embedding=[0.0, 1.0])
    found = _found(host)
    assert (found["revision"], found["model"], found["dimensions"]) == (2, "network@1", 2)
    assert found["owners"] == ["Ann", "Ben", "Ben"]
    assert found["embeddings"] == [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    _enrol(host, "Ann", embedding=[-1.0, 0.0])
    again = _found(host)
    assert again["owners"] == ["Ann", "Ben", "Ben", "Ann"]  # what came was appended
    assert again["faces"][:3] == found["faces"]
    assert again["embeddings"][-2:] == [-1.0, 0.0]
    assert len(_snapshots(host)) == 1


def test_an_unchanged_gallery_is_not_written_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    _enrol(host, "Ann")
    first = _found(host)

    def fail(*_: Any) -> Any:
        raise AssertionError("the faces were read again")

    monkeypatch.setattr(galleries, "faces_between", fail)
    assert _found(host) == first


def test_a_gallery_without_faces_is_empty_and_one_that_is_not_there_an_error(host: Host) -> None:
    galleries.create_gallery(host.db, PROJECT, "staff")
    found = _found(host)
    assert (found["owners"], found["model"], found["dimensions"]) == ([], "", 0)
    problem = problem_of(_find(host, gallery="none"))
    assert (problem["code"], problem["field"]) == ("unknown_gallery", "params.gallery")
    assert "saccade galleries create none" in problem["message"]


def test_a_killed_run_enrols_nobody(host: Host) -> None:
    job = _enrol(host, "Ann", die=True).row
    assert job.state == JobState.QUEUED
    assert _count(host) == (0, 0)
    assert _pictures(host) == []


def test_a_run_that_lost_its_lease_enrols_nobody(host: Host, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = _enrolment(host, "Ann", gate=str(gate))
    with _held_back([host], [job.id], gate):
        expire_lease(host.db, job.id)
        other = claimed(host.db, job.id, "other")
    succeed(host.db, other)
    assert _count(host) == (0, 0)


def test_a_job_that_succeeded_enrols_once(host: Host) -> None:
    job = _enrol(host, "Ann").row
    execute(host, job.id)  # the message came twice
    assert _count(host) == (1, 1)


def test_faces_of_another_network_fail_the_job(host: Host) -> None:
    _enrol(host, "Ann")
    for failed in (_enrol(host, "Ben", model="network@2"), _enrol(host, "Ben", embedding=[1.0])):
        assert problem_of(failed)["code"] == "gallery_model_mismatch"
        assert failed.artifacts == []
    assert _count(host) == (1, 1)


@pytest.mark.parametrize("bad", [[1.0, 1.0], [], [math.inf], [0.0]])
def test_an_embedding_that_is_none_fails_the_job(host: Host, bad: list[float]) -> None:
    row = _enrol(host, "Ann", embedding=[value if math.isfinite(value) else 1e300 for value in bad]).row
    assert row.error is not None and row.error["code"] == "engine_failed"
    assert _count(host) == (0, 0)


def test_a_kind_that_does_not_enrol_adds_no_face(host: Host) -> None:
    _enrol(host, "Ann")
    row = _find(host, enroll=True).row
    assert row.error is not None and row.error["code"] == "engine_failed"
    assert _count(host) == (1, 1)


def test_a_gallery_that_is_deleted_meanwhile_fails_the_enrolment(host: Host, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = _enrolment(host, "Ann", gate=str(gate))
    with _held_back([host], [job.id], gate):
        gallery_removal.remove_gallery(host.db, host.blobs, PROJECT, "staff")
    assert problem_of(get_job(host.db, PROJECT, job.id))["code"] == "unknown_gallery"


def test_a_gallery_that_is_deleted_before_the_run_is_not_made_again(host: Host) -> None:
    _enrol(host, "Ann")
    waiting = _enrolment(host, "Ann")
    gallery_removal.remove_gallery(host.db, host.blobs, PROJECT, "staff")
    execute(host, waiting.id)
    assert problem_of(get_job(host.db, PROJECT, waiting.id))["code"] == "removed_meanwhile"
    assert galleries.find_gallery(host.db, PROJECT, "staff") is None


def test_an_enrolment_that_runs_does_not_bring_a_removed_person_back(host: Host, tmp_path: Path) -> None:
    _enrol(host, "Ann")
    gate = tmp_path / "gate"
    job = _enrolment(host, "Ann", gate=str(gate))
    with _held_back([host], [job.id], gate):
        gallery_removal.remove_person(host.db, host.blobs, PROJECT, "staff", "Ann")
    problem = problem_of(get_job(host.db, PROJECT, job.id))
    assert (problem["code"], problem["retryable"]) == ("removed_meanwhile", False)
    assert _count(host) == (0, 0)


def test_a_removal_leaves_the_running_search_alone_and_the_next_one_without_the_person(
    host: Host, tmp_path: Path
) -> None:
    _enrol(host, "Ann")
    _enrol(host, "Ben")
    gate = tmp_path / "gate"
    job = accepted(host.db, kind="finder", params={"gallery": "staff", "gate": str(gate)})
    with _held_back([host], [job.id], gate):
        gallery_removal.remove_person(host.db, host.blobs, PROJECT, "staff", "Ann")
        host.galleries.tidy()
        assert _snapshots(host) == []  # gone without waiting for the next use
    result = record(host.db, job.id).result
    assert result is not None and result["owners"] == ["Ann", "Ben"]
    found = _found(host)
    assert found["owners"] == ["Ben"]
    assert len(found["embeddings"]) == 4


def test_somebody_who_is_removed_while_the_snapshot_is_made_is_not_in_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _enrol(host, "Ann")
    _enrol(host, "Ben")
    read = galleries.faces_between

    def removing(*args: Any) -> Any:
        yield from read(*args)
        monkeypatch.setattr(galleries, "faces_between", read)
        gallery_removal.remove_person(host.db, host.blobs, PROJECT, "staff", "Ann")

    monkeypatch.setattr(galleries, "faces_between", removing)
    found = _found(host)
    assert (found["owners"], found["revision"]) == (["Ben"], 3)


def test_two_workers_enrol_the_same_new_person_at_once(host: Host, worker_settings: WorkerSettings) -> None:
    second = Host(worker_settings, pool="cpu", queues="cpu", worker_id="second")
    second.start()
    try:
        jobs = [_enrolment(host, "Ann").id for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(execute, (host, second), jobs))
        assert [record(host.db, job).state for job in jobs] == [JobState.SUCCEEDED] * 2
        assert _count(host) == (1, 2)
        assert len(_found(host)["owners"]) == len(_found(second)["owners"]) == 2
        assert len(_snapshots(host)) == 1  # of both
    finally:
        second.close()
    assert _snapshots(host) != []  # the first one still uses it


def test_what_the_last_worker_left_goes_when_the_next_starts(host: Host, worker_settings: WorkerSettings) -> None:
    _enrol(host, "Ann")
    _find(host)
    host.galleries.close()
    left: Path = worker_settings.scratch_dir / "galleries"
    assert left.exists()
    later = Host(worker_settings, pool="cpu", queues="cpu", worker_id="later")
    later.start()
    later.close()
    assert not left.exists()
