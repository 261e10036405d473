"""The keeper over real Redis, SQLite and a local folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import NotFound, Unavailable
from saccade_core.ids import part_id
from saccade_core.jobs import JobState
from saccade_core.live import CANCEL_CHANNEL, events_key
from saccade_core.parts import Part
from saccade_core.queue import Queue, connect
from saccade_core.records import leases, repair
from saccade_core.records.database import Database, now
from saccade_core.records.fleet import set_paused
from saccade_core.records.galleries import create_gallery
from saccade_core.records.lookups import get_job
from saccade_core.records.removals import due, must_go
from saccade_core.records.repair import release_lock, take_lock
from saccade_core.records.tables import FaceRow, LockRow, PersonRow
from saccade_keeper.keeper import Keeper
from saccade_keeper.settings import KeeperSettings
from saccade_keeper.sweep import remove_forgotten
from servers.records import PROJECT, accepted, alter, claimed, expire_lease, record, succeed
from servers.redis_server import RedisServer
from servers.stack import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def keeper_settings(tmp_path: Path, redis_url: str, sqlite_db: Database) -> KeeperSettings:
    return KeeperSettings(
        database_url=sqlite_db.url.render_as_string(),
        redis_url=redis_url,
        blobs_url=f"file:{tmp_path}/blobs",
        keeper_period_s=0.1,
    )


@pytest.fixture
def keeper(keeper_settings: KeeperSettings) -> Keeper:
    return Keeper(keeper_settings)


@pytest.fixture
def queue(keeper_settings: KeeperSettings) -> Generator[Queue]:
    made = Queue(keeper_settings.redis_url)
    yield made
    made.close()


def _due(db: Database, count: int = 1) -> list[str]:
    """Queued jobs that nobody has published."""
    ids = [accepted(db).id for _ in range(count)]
    for job_id in ids:
        alter(db, job_id, publish_at=now() - 1.0)
    return ids


def test_it_publishes_what_nobody_did(keeper: Keeper, queue: Queue, sqlite_db: Database) -> None:
    _due(sqlite_db, 3)
    keeper.step()
    assert queue.depth("cpu") == 3
    keeper.step()
    assert queue.depth("cpu") == 3


def test_it_leaves_a_fresh_job_to_the_gateway(keeper: Keeper, queue: Queue, sqlite_db: Database) -> None:
    queue.mark("filled")
    accepted(sqlite_db)
    keeper.step()
    assert queue.depth("cpu") == 0


def test_it_does_not_fill_a_queue_beyond_its_records(keeper: Keeper, queue: Queue, sqlite_db: Database) -> None:
    ids = _due(sqlite_db, 3)
    keeper.step()
    for job_id in ids:
        alter(sqlite_db, job_id, publish_at=now() - 1.0)
    keeper.step()
    assert queue.depth("cpu") == 3


def test_a_message_that_was_lost_is_sent_again(
    keeper: Keeper, queue: Queue, sqlite_db: Database, redis_url: str
) -> None:
    [job_id] = _due(sqlite_db)
    keeper.step()
    with connect(redis_url) as client:
        client.lpop("cpu")  # a worker took it and was killed before it claimed the job
    keeper.step()
    assert queue.depth("cpu") == 0  # patience: the worker may be about to claim it
    alter(sqlite_db, job_id, publish_at=now() - 1.0)
    keeper.step()
    assert queue.depth("cpu") == 1


def test_an_emptied_redis_is_filled_again(keeper: Keeper, queue: Queue, sqlite_db: Database, redis_url: str) -> None:
    _due(sqlite_db, 5)
    keeper.step()
    with connect(redis_url) as client:
        client.flushall()
    assert queue.depth("cpu") == 0
    keeper.step()
    assert queue.depth("cpu") == 5


def test_a_redis_that_lost_its_data_is_filled_again(
    keeper: Keeper, queue: Queue, sqlite_db: Database, redis_server: RedisServer
) -> None:
    _due(sqlite_db, 5)
    keeper.step()
    redis_server.kill()
    try:
        keeper.step()  # no Redis: what can be done is done
    finally:
        redis_server.lose_data()
        redis_server.start()
    eventually(lambda: (keeper.step(), queue.depth("cpu") == 5)[1], what="the queue with 5 messages")


def test_duties_that_need_no_redis_are_done_without_it(keeper_settings: KeeperSettings, sqlite_db: Database) -> None:
    keeper = Keeper(keeper_settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    held, waiting = claimed(sqlite_db, accepted(sqlite_db).id), accepted(sqlite_db, run_at=1.0)
    expire_lease(sqlite_db, held.id)
    keeper.step()
    assert record(sqlite_db, held.id).state == JobState.QUEUED
    assert record(sqlite_db, waiting.id).state == JobState.QUEUED


def test_lost_jobs_and_due_jobs_are_published_in_the_same_step(
    keeper: Keeper, queue: Queue, sqlite_db: Database
) -> None:
    held = claimed(sqlite_db, accepted(sqlite_db).id)
    expire_lease(sqlite_db, held.id)
    accepted(sqlite_db, run_at=1.0, queue="cpu.bulk")
    keeper.step()
    assert (queue.depth("cpu"), queue.depth("cpu.bulk")) == (1, 1)


def test_a_paused_pools_jobs_stay_on_record(keeper: Keeper, queue: Queue, sqlite_db: Database) -> None:
    _due(sqlite_db)
    set_paused(sqlite_db, "cpu", paused=True)
    keeper.step()
    assert queue.depth("cpu") == 0
    set_paused(sqlite_db, "cpu", paused=False)
    keeper.step()
    assert queue.depth("cpu") == 1


def test_overdue_and_expired_jobs_go(keeper: Keeper, keeper_settings: KeeperSettings, sqlite_db: Database) -> None:
    late = accepted(sqlite_db, deadline_s=1.0)
    alter(sqlite_db, late.id, deadline_at=now() - 1.0)
    over = claimed(sqlite_db, accepted(sqlite_db, ttl_s=1.0).id)
    blobs = open_blobs(keeper_settings)
    blobs.put_bytes(f"jobs/{over.id}/1/a.txt", b"a", "text/plain")
    succeed(sqlite_db, over)
    alter(sqlite_db, over.id, expires_at=now() - 1.0)
    keeper.step()
    keeper.cleaner.tidy(lambda: True)
    assert record(sqlite_db, late.id).state == JobState.FAILED
    with pytest.raises(NotFound):
        get_job(sqlite_db, PROJECT, over.id)
    assert list(blobs.list("jobs/")) == []


def test_a_part_whose_workers_die_ends_its_job(
    keeper: Keeper, keeper_settings: KeeperSettings, sqlite_db: Database
) -> None:
    job = claimed(sqlite_db, accepted(sqlite_db, max_attempts=1).id)
    leases.split(sqlite_db, job, [Part(0, {}), Part(1, {})], "cpu.bulk")
    expire_lease(sqlite_db, claimed(sqlite_db, part_id(job.id, 1)).id)
    with connect(keeper_settings.redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(CANCEL_CHANNEL)
        channel.get_message(timeout=5.0)
        keeper.step()
        told: Any = channel.get_message(timeout=5.0)
        assert told["data"] == job.id
        events: Any = client.xrange(events_key(job.id))
        [(_, event)] = events
        assert event["type"] == "done"
        assert not client.exists(events_key(part_id(job.id, 1)))
    assert record(sqlite_db, job.id).state == JobState.FAILED


def test_a_part_that_may_fail_ends_alone(keeper: Keeper, keeper_settings: KeeperSettings, sqlite_db: Database) -> None:
    job = claimed(sqlite_db, accepted(sqlite_db, max_attempts=1).id)
    leases.split(sqlite_db, job, [Part(0, {}, may_fail=True)], "cpu.bulk")
    expire_lease(sqlite_db, claimed(sqlite_db, part_id(job.id, 0)).id)
    keeper.step()
    with connect(keeper_settings.redis_url) as client:
        assert not client.exists(events_key(job.id))
    due = record(sqlite_db, job.id)
    assert (due.state, due.parts_left) == (JobState.QUEUED, 0)


def test_the_sweep_removes_what_no_record_names(
    keeper_settings: KeeperSettings, sqlite_db: Database, tmp_path: Path
) -> None:
    blobs = open_blobs(keeper_settings)
    done = claimed(sqlite_db, accepted(sqlite_db).id)
    expire_lease(sqlite_db, done.id)
    done = claimed(sqlite_db, done.id)
    succeed(sqlite_db, done)
    running = claimed(sqlite_db, accepted(sqlite_db).id)
    split = claimed(sqlite_db, accepted(sqlite_db).id)
    leases.split(sqlite_db, split, [Part(0, {}), Part(1, {})], "cpu.bulk")
    succeed(sqlite_db, claimed(sqlite_db, part_id(split.id, 0)))
    keys = {
        f"jobs/{split.id}/parts/0000/1/kept.txt": True,
        f"jobs/{split.id}/parts/0000/2/lost.txt": False,
        f"jobs/{split.id}/parts/0000/checkpoints/a": False,
        f"jobs/{split.id}/parts/0001/checkpoints/a": True,
        f"jobs/{done.id}/parts/0000/1/joined.txt": False,
        f"jobs/{done.id}/1/lost.txt": False,
        f"jobs/{done.id}/2/kept/a.txt": True,
        f"jobs/{done.id}/checkpoints/a": False,
        f"jobs/{running.id}/1/kept.txt": True,
        f"jobs/{running.id}/checkpoints/a": True,
        "jobs/job_none/1/a.txt": False,
        "jobs/stray": False,
        "files/file_none": False,
        "contract-check/0": False,
        f"galleries/{_enrolled(sqlite_db)}/crop.jpg": True,
        "galleries/gallery_1/face_none/crop.jpg": False,
    }
    for key in keys:
        blobs.put_bytes(key, b"a", "text/plain")
    (tmp_path / "blobs" / "tmp" / "half").write_bytes(b"a")
    old = time.time() - 7200
    for path in (tmp_path / "blobs").rglob("*"):
        os.utime(path, (old, old))
    blobs.put_bytes("jobs/job_none/1/young.txt", b"a", "text/plain")
    assert remove_forgotten(sqlite_db, blobs, 3600.0, lambda: False) == 1  # the half-written file
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []
    assert remove_forgotten(sqlite_db, blobs, age_s=3600.0) == 10
    kept = {key for key, keep in keys.items() if keep} | {"jobs/job_none/1/young.txt"}
    assert {stat.key for stat in blobs.list()} == kept
    assert remove_forgotten(sqlite_db, blobs, age_s=3600.0) == 0


def _enrolled(db: Database) -> str:
    """The gallery and face, as in keys, of a face on record."""
    gallery = create_gallery(db, PROJECT, "staff")
    with db.write() as session:
        person = PersonRow(id="person_1", gallery_id=gallery.id, name="Ann", created_at=0.0)
        texts = dict.fromkeys(("crop_key", "photo_key", "source", "source_sha256", "job_id"), "")
        face = {"id": "face_1", "gallery_id": gallery.id, "person_id": "person_1", "embedding": b"", "quality": {}}
        session.add(person)
        session.flush()
        session.add(FaceRow(**face, **texts, revision=1, created_at=0.0))
    return f"{gallery.id}/face_1"


def test_what_must_go_is_removed_when_the_store_is_back(
    keeper: Keeper, keeper_settings: KeeperSettings, sqlite_db: Database
) -> None:
    blobs = open_blobs(keeper_settings)
    keys = ["files/default/file_1", "galleries/gallery_1/face_1/crop.jpg", "galleries/gallery_1/face_2/crop.jpg"]
    for key in keys:
        blobs.put_bytes(key, b"a", "image/jpeg")
    with sqlite_db.write() as session:  # and the process died before it removed the bytes
        must_go(sqlite_db, session, ["files/default/file_1", "galleries/gallery_1/face_1/"])
    keeper.step()
    keeper.cleaner.tidy(lambda: True)
    assert [stat.key for stat in blobs.list()] == [keys[2]]
    assert due(sqlite_db, 10) == []


class _Slow:
    """An object store that answers only once it may."""

    def __init__(self, blobs: Blobs) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()
        self._delete_prefix = blobs.delete_prefix

    def delete_prefix(self, prefix: str) -> int:
        self.asked.set()
        assert self.answer.wait(60)
        return self._delete_prefix(prefix)


@contextmanager
def _running(keeper: Keeper) -> Generator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def _expired(db: Database) -> str:
    held = claimed(db, accepted(db, ttl_s=1.0).id)
    succeed(db, held)
    alter(db, held.id, expires_at=now() - 1.0)
    return held.id


def test_a_slow_object_store_stops_no_repair(
    keeper: Keeper,
    keeper_settings: KeeperSettings,
    queue: Queue,
    sqlite_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = _Slow(open_blobs(keeper_settings))

    def delete_prefix(_blobs: Blobs, prefix: str) -> int:
        return slow.delete_prefix(prefix)

    monkeypatch.setattr(Blobs, "delete_prefix", delete_prefix)
    _expired(sqlite_db)
    with _running(keeper):
        assert slow.asked.wait(30)
        _due(sqlite_db, 3)
        eventually(lambda: queue.depth("cpu") == 3)
        slow.answer.set()
    assert _leader(sqlite_db) == ""


def test_only_the_leader_cleans(keeper: Keeper, sqlite_db: Database) -> None:
    assert take_lock(sqlite_db, "keeper", "another", 3600.0)
    over = _expired(sqlite_db)
    with _running(keeper):
        time.sleep(2.0)  # the first look would come after half a second
        assert record(sqlite_db, over).id == over
        release_lock(sqlite_db, "keeper", "another")
        eventually(lambda: not _exists(sqlite_db, over), what="the expired job's removal")


def _exists(db: Database, job_id: str) -> bool:
    try:
        return bool(record(db, job_id))
    except NotFound:
        return False


def test_an_emptied_redis_is_filled_again_also_where_the_database_fails_first(
    keeper: Keeper, queue: Queue, sqlite_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(sqlite_db)  # not due by itself before some seconds

    def away(_db: Database) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(repair, "publish_all_again", away)
        keeper.step()
    assert queue.depth("cpu") == 0
    keeper.step()
    assert queue.depth("cpu") == 1


@contextmanager
def _process(settings: KeeperSettings, log: Path) -> Generator[subprocess.Popen[bytes]]:
    env = {
        **os.environ,
        "SACCADE_DATABASE_URL": settings.database_url,
        "SACCADE_REDIS_URL": settings.redis_url,
        "SACCADE_BLOBS_URL": settings.blobs_url,
        "SACCADE_KEEPER_PERIOD_S": "0.1",
    }
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "saccade_keeper"], env=env, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _leader(db: Database) -> str:
    with db.read() as session:
        found = session.scalars(select(LockRow.holder).where(LockRow.name == "keeper", LockRow.until > now())).all()
        return found[0] if found else ""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_one_of_two_keepers_leads_and_the_other_takes_over(
    keeper_settings: KeeperSettings, sqlite_db: Database, queue: Queue, tmp_path: Path, how: signal.Signals
) -> None:
    def leads(process: subprocess.Popen[bytes]) -> bool:
        return _leader(sqlite_db).endswith(f":{process.pid}")

    with _process(keeper_settings, tmp_path / "first.log") as first:
        eventually(lambda: leads(first), what="the first keeper's lead")
        with _process(keeper_settings, tmp_path / "second.log") as second:
            _due(sqlite_db)
            eventually(lambda: queue.depth("cpu") == 1)
            assert leads(first)
            first.send_signal(how)
            first.wait(10)
            eventually(lambda: leads(second), what="the second keeper's lead")
            _due(sqlite_db)
            eventually(lambda: queue.depth("cpu") == 2)
