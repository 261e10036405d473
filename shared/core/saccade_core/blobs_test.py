"""The same promises over a local folder and over a real S3 server."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from pydantic import SecretStr

from saccade_core import blobs as blobs_module
from saccade_core.blob_sinks import PART_BYTES
from saccade_core.blobs import Blobs, Stored, open_blobs
from saccade_core.errors import InvalidRequest, NotFound, StorageFailed, Unavailable
from saccade_core.s3 import s3_store
from saccade_core.settings import BlobSettings
from servers.swift import SwiftServer

LARGE = secrets.token_bytes(2 * PART_BYTES + 777)
HOSTILE_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "a/..",
    "./a",
    "a b",
    "a\0",
    "a\n",
    "a%2e",
    "é",
    "a\\b",
    "x" * 901,
]


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.stack)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> BlobSettings:
    if request.param == "file":
        return BlobSettings(blobs_url=f"file:{tmp_path / 'blobs'}")
    s3: BlobSettings = request.getfixturevalue("s3_settings")
    return s3.model_copy(update={"blobs_url": f"{s3.blobs_url}/some/prefix"})


@pytest.fixture
def blobs(settings: BlobSettings) -> Blobs:
    return open_blobs(settings)


def stored(data: bytes) -> Stored:
    return Stored(len(data), hashlib.sha256(data).hexdigest())


def read(blobs: Blobs, key: str, start: int = 0, end: int | None = None) -> bytes:
    async def collect() -> bytes:
        return b"".join([chunk async for chunk in blobs.stream(key, start, end)])

    return asyncio.run(collect())


def keys(blobs: Blobs, prefix: str = "") -> list[str]:
    return sorted(stat.key for stat in blobs.list(prefix))


@pytest.mark.parametrize("data", [b"", b"few", LARGE], ids=["empty", "few", "large"])
def test_a_file_comes_back_as_it_went(blobs: Blobs, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").write_bytes(data)
    assert blobs.put_file("jobs/1/a.bin", tmp_path / "in", "image/png") == stored(data)
    blobs.get_file("jobs/1/a.bin", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert read(blobs, "jobs/1/a.bin") == data
    stat = blobs.head("jobs/1/a.bin")
    assert stat is not None
    assert stat.bytes == len(data)
    assert abs(stat.modified - datetime.now(UTC)) < timedelta(minutes=5)


def test_what_a_runner_does_to_its_copy_stays_its_own(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put_bytes("a", b"original", "text/plain")
    blobs.get_file("a", tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"scribble")
    assert read(blobs, "a") == b"original"


def test_ranges(blobs: Blobs) -> None:
    blobs.put_bytes("a", LARGE, "application/octet-stream")
    edge = PART_BYTES
    assert blobs.get_range("a", edge - 3, edge + 3) == LARGE[edge - 3 : edge + 3]
    assert read(blobs, "a", 5, edge + 9) == LARGE[5 : edge + 9]
    assert read(blobs, "a", len(LARGE) - 4) == LARGE[-4:]
    assert read(blobs, "a", 0, 1) == LARGE[:1]
    assert read(blobs, "a", 7, 7) == b""


def test_a_later_write_replaces_whole(blobs: Blobs) -> None:
    blobs.put_bytes("a", LARGE, "text/plain")
    assert blobs.put_bytes("a", b"new", "text/plain") == stored(b"new")
    assert read(blobs, "a") == b"new"


def test_streaming_in(blobs: Blobs) -> None:
    async def upload() -> Stored:
        async with blobs.writer("files/up", "video/mp4") as writer:
            for first in range(0, len(LARGE), 70_000):
                await writer.write(LARGE[first : first + 70_000])
                assert writer.bytes == min(first + 70_000, len(LARGE))
            assert blobs.head("files/up") is None, "seen only when it is whole"
        return writer.stored()

    assert asyncio.run(upload()) == stored(LARGE)
    assert read(blobs, "files/up") == LARGE


class _ClientGone(Exception):
    pass


@pytest.mark.parametrize("written", [b"few", LARGE], ids=["few", "large"])
def test_an_exception_while_streaming_leaves_nothing(blobs: Blobs, settings: BlobSettings, written: bytes) -> None:
    async def upload(key: str) -> None:
        async with blobs.writer(key, "video/mp4") as writer:
            await writer.write(written)
            raise _ClientGone

    blobs.put_bytes("old", b"what was there", "text/plain")
    for key in ("new", "old"):
        with pytest.raises(_ClientGone):
            asyncio.run(upload(key))
    assert blobs.head("new") is None
    assert read(blobs, "old") == b"what was there"
    assert leftovers(settings) == []


def test_a_cancelled_upload_leaves_nothing(blobs: Blobs, settings: BlobSettings) -> None:
    async def endless() -> None:
        async with blobs.writer("new", "video/mp4") as writer:
            while True:
                await writer.write(LARGE[:500_000])

    async def main() -> None:
        task = asyncio.create_task(endless())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert blobs.head("new") is None
    assert leftovers(settings) == []


def leftovers(settings: BlobSettings) -> list[str]:
    """Part files of a local store; S3's open uploads are looked at in ``test_s3_aborts_the_upload``."""
    if not settings.blobs_url.startswith("file:"):
        return []
    return [p.name for p in Path(settings.blobs_url.removeprefix("file:"), "tmp").iterdir()]


@pytest.mark.stack
def test_s3_aborts_the_upload(s3_settings: BlobSettings, s3_server: SwiftServer) -> None:
    blobs = open_blobs(s3_settings)
    bucket = s3_settings.blobs_url.removeprefix("s3://")
    seen: list[str] = []

    async def upload() -> None:
        async with blobs.writer("a", "video/mp4") as writer:
            for _ in range(4):
                await writer.write(LARGE)
            seen.extend(s3_server.containers()[f"{bucket}+segments"])
            raise _ClientGone

    with pytest.raises(_ClientGone):
        asyncio.run(upload())
    assert seen, "parts were on the server"
    assert s3_server.containers()[f"{bucket}+segments"] == []


def test_a_writer_that_ended_takes_nothing(blobs: Blobs) -> None:
    async def upload() -> None:
        async with blobs.writer("a", "text/plain") as writer:
            await writer.write(b"x")
        await writer.write(LARGE)

    with pytest.raises(StorageFailed):
        asyncio.run(upload())
    assert read(blobs, "a") == b"x"


def test_listing_and_removing(blobs: Blobs) -> None:
    for key in ("jobs/1/t/a", "jobs/1/t/b/c", "jobs/10/t/a", "files/x"):
        blobs.put_bytes(key, key.encode(), "text/plain")
    assert keys(blobs) == ["files/x", "jobs/1/t/a", "jobs/1/t/b/c", "jobs/10/t/a"]
    assert keys(blobs, "jobs/1") == keys(blobs, "jobs/1/") == ["jobs/1/t/a", "jobs/1/t/b/c"]
    assert {stat.key: stat.bytes for stat in blobs.list("files")} == {"files/x": 7}
    assert keys(blobs, "nothing") == []
    assert blobs.delete_prefix("jobs/1") == 2
    assert blobs.delete_prefix("jobs/1") == 0
    blobs.delete(["files/x", "files/never-there"])
    blobs.delete([])
    assert keys(blobs) == ["jobs/10/t/a"]


def test_more_than_one_page_is_listed_and_removed(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "_PAGE", 10)  # S3's own are 1,000
    for i in range(25):
        blobs.put_bytes(f"many/{i}", b"", "text/plain")
    assert len(keys(blobs, "many")) == 25
    assert blobs.delete_prefix("many") == 25
    assert keys(blobs) == []


def test_what_is_not_there(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.head("no/such") is None
    with pytest.raises(NotFound):
        blobs.get_file("no/such", tmp_path / "out")
    with pytest.raises(NotFound):
        read(blobs, "no/such")
    with pytest.raises(NotFound):
        blobs.get_range("no/such", 0, 1)
    with pytest.raises(FileNotFoundError):
        blobs.put_file("a", tmp_path / "no-such-file", "text/plain")
    assert blobs.head("a") is None


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_keys_reach_no_store(tmp_path: Path, key: str) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path / 'blobs'}"))

    async def upload() -> None:
        async with blobs.writer(key, "text/plain") as writer:
            await writer.write(b"x")

    (tmp_path / "in").write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: blobs.put_bytes(key, b"x", "text/plain"),
        lambda: blobs.put_file(key, tmp_path / "in", "text/plain"),
        lambda: blobs.get_file(key, tmp_path / "out"),
        lambda: blobs.head(key),
        lambda: blobs.delete([key]),
        lambda: read(blobs, key),
        lambda: asyncio.run(upload()),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest):
            call()
    if key not in {"", "a/"}:  # as a prefix, these are everything and a folder
        with pytest.raises(InvalidRequest):
            blobs.list(key).__next__()
    if key != "a/":
        with pytest.raises(InvalidRequest):
            blobs.delete_prefix(key)


def test_the_contract_is_checked(blobs: Blobs) -> None:
    blobs.check()
    assert keys(blobs) == []


def test_a_store_that_breaks_the_contract_is_found(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one server did: parts are joined wrongly, without an error."""
    put_file = blobs.put_file

    def damaging(key: str, path: Path, media_type: str) -> Stored:
        path.write_bytes(b"X" + path.read_bytes()[1:])
        return put_file(key, path, media_type)

    monkeypatch.setattr(blobs, "put_file", damaging)
    with pytest.raises(StorageFailed, match="written in parts reads back"):
        blobs.check()
    assert keys(blobs) == []


@pytest.mark.stack
def test_presigned_downloads_have_a_name_and_a_type(s3_settings: BlobSettings) -> None:
    blobs = open_blobs(s3_settings.model_copy(update={"blobs_url": f"{s3_settings.blobs_url}/pre"}))
    blobs.put_bytes("a.bin", LARGE, "application/octet-stream")
    url = blobs.presign_get("a.bin", 60, 'Größe "1"\r\n.png', "image/png")
    assert url is not None
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.content == LARGE
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Gr__e _1___.png\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22__.png"
    )
    assert httpx.get(url, headers={"Range": "bytes=5-9"}).content == LARGE[5:10]
    assert httpx.get(url.replace("a.bin", "b.bin")).status_code == 403
    assert httpx.get(url.replace("image%2Fpng", "text%2Fhtml")).status_code == 403
    assert httpx.put(url, content=b"x").status_code == 403


@pytest.mark.stack
def test_the_media_type_is_kept_in_s3(s3_settings: BlobSettings, tmp_path: Path) -> None:
    blobs = open_blobs(s3_settings)
    (tmp_path / "in").write_bytes(LARGE)
    blobs.put_bytes("small", b"x", "image/png")
    blobs.put_file("large", tmp_path / "in", "video/mp4")
    store = s3_store(s3_settings)
    assert obstore.get(store, "small").attributes["Content-Type"] == "image/png"
    assert obstore.get(store, "large").attributes["Content-Type"] == "video/mp4"


def test_downloads_are_not_presigned_where_clients_do_not_reach_the_store(tmp_path: Path) -> None:
    local = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}", s3_public_endpoint="http://127.0.0.1:1"))
    assert local.presign_get("a", 60, "a", "text/plain") is None
    s3 = open_blobs(BlobSettings(blobs_url="s3://b", s3_endpoint="http://127.0.0.1:1"))
    assert s3.presign_get("a", 60, "a", "text/plain") is None


@pytest.mark.stack
def test_a_server_that_is_down(s3_settings: BlobSettings, s3_server: SwiftServer, tmp_path: Path) -> None:
    blobs = open_blobs(s3_settings)
    (tmp_path / "in").write_bytes(LARGE)
    blobs.put_bytes("a", b"x", "text/plain")

    async def upload() -> None:
        async with blobs.writer("b", "text/plain") as writer:
            await writer.write(LARGE)

    calls: list[Callable[[], object]] = [
        lambda: blobs.put_file("b", tmp_path / "in", "text/plain"),
        lambda: blobs.get_file("a", tmp_path / "out"),
        lambda: blobs.head("a"),
        lambda: keys(blobs),
        lambda: blobs.delete(["a"]),
        lambda: read(blobs, "a"),
        lambda: asyncio.run(upload()),
    ]
    s3_server.stop_api()
    try:
        for call in calls:
            with pytest.raises(StorageFailed) as failed:
                call()
            assert failed.value.retryable
            assert "127.0.0.1" not in failed.value.message
        with pytest.raises(Unavailable):
            blobs.check()
    finally:
        s3_server.start_api()
    assert keys(blobs) == ["a"]


@pytest.mark.stack
def test_a_wrong_secret_is_a_storage_failure(s3_settings: BlobSettings) -> None:
    blobs = open_blobs(s3_settings.model_copy(update={"s3_secret_access_key": SecretStr("wrong")}))
    with pytest.raises(StorageFailed) as failed:
        blobs.put_bytes("a", b"x", "text/plain")
    assert "wrong" not in failed.value.message


@pytest.mark.parametrize("url", ["", "file:", "s3://", "/some/folder", "gs://bucket", "http://127.0.0.1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="SACCADE_BLOBS_URL"):
        open_blobs(BlobSettings(blobs_url=url))


def test_a_full_disk_is_a_storage_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}"))

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed) as failed:
        blobs.put_bytes("a", b"x", "text/plain")
    assert str(tmp_path) not in failed.value.message
    assert blobs.head("a") is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_parts_that_killed_processes_left_are_removed_by_age(tmp_path: Path) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}"))
    (tmp_path / "tmp").mkdir()
    for name, age_s in (("old", 90_000), ("young", 80_000)):
        (tmp_path / "tmp" / name).write_bytes(b"x")
        then = datetime.now(UTC).timestamp() - age_s
        os.utime(tmp_path / "tmp" / name, (then, then))
    assert blobs.remove_stale_parts(86_400) == 1
    assert [p.name for p in (tmp_path / "tmp").iterdir()] == ["young"]


def test_what_the_disk_does_not_take_to_the_end_is_removed(tmp_path: Path) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StorageFailed):
            blobs.put_bytes("a", bytes((1 << 20) + 10), "text/plain")  # the rest waits in a buffer
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_deletes_and_writes_in_one_folder_do_not_collide(tmp_path: Path) -> None:
    blobs = open_blobs(BlobSettings(blobs_url=f"file:{tmp_path}"))

    def churn(name: str) -> None:
        for _ in range(60):
            blobs.put_bytes(f"shared/folder/{name}", b"x", "text/plain")
            blobs.delete([f"shared/folder/{name}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(churn, "abcd"))
    assert list((tmp_path / "objects").iterdir()) == [], "empty folders go too"


_STREAM = """
import asyncio, resource, sys
from saccade_core.blobs import open_blobs
from saccade_core.settings import BlobSettings

async def main():
    blobs, chunk, count = open_blobs(BlobSettings()), bytes(1 << 18), int(sys.argv[1]) * 4
    async with blobs.writer("warm", "a/b") as writer:
        await writer.write(chunk)
    async for piece in blobs.stream("warm"):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with blobs.writer("large", "a/b") as writer:
        for _ in range(count):
            await writer.write(chunk)
    up = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = 0
    async for piece in blobs.stream("large"):
        total += len(piece)
    down = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert total == count * len(chunk)
    print((up - before) // 1024, (down - before) // 1024)

asyncio.run(main())
"""


@pytest.mark.stack
def test_a_large_stream_needs_little_memory(settings: BlobSettings) -> None:
    megabytes = 400
    env = dict(os.environ) | {
        f"SACCADE_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings
        if value is not None
    }
    done = subprocess.run(
        [sys.executable, "-c", _STREAM, str(megabytes)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    up, down = map(int, done.stdout.split())
    assert up < 64, f"{up} MiB for an upload of {megabytes} MiB"
    assert down < 64, f"{down} MiB for up- and download"
