"""A real gateway process keeps its memory while a large file goes through it both ways."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from saccade_core.settings import BlobSettings
from saccade_gateway.testing import NO_REDIS
from servers.process import free_port

LARGE_BYTES = 300 << 20
MAY_GROW_BYTES = 64 << 20
_CHUNK = os.urandom(1 << 20)


@contextmanager
def gateway_process(folder: Path, extra: dict[str, str]) -> Generator[tuple[str, psutil.Process]]:
    port = free_port()
    env = {
        **os.environ,
        "SACCADE_DATABASE_URL": f"sqlite:///{folder / 'saccade.db'}",
        "SACCADE_REDIS_URL": NO_REDIS,
        "SACCADE_BLOBS_URL": f"file:{folder / 'blobs'}",
        "SACCADE_PORT": str(port),
        **extra,
    }
    with (folder / "gateway.log").open("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", "saccade_gateway"], env=env, stderr=log)
        url, limit = f"http://127.0.0.1:{port}", time.monotonic() + 60
        try:
            while not _answers(url):
                assert process.poll() is None, (folder / "gateway.log").read_text()
                assert time.monotonic() < limit
                time.sleep(0.1)
            yield url, psutil.Process(process.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def _form() -> Iterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    for _ in range(LARGE_BYTES // len(_CHUNK)):
        yield _CHUNK
    yield b"\r\n--b--\r\n"


def _both_ways(folder: Path, extra: dict[str, str]) -> None:
    with gateway_process(folder, extra) as (url, process), httpx.Client(base_url=url, timeout=120) as api:
        small = api.post("/v1/files", files={"file": ("a", b"x")}).json()["id"]
        assert api.get(f"/v1/files/{small}/content").content == b"x"
        before = process.memory_info().rss
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        peak = 0

        def watched(chunks: Iterator[bytes]) -> Iterator[bytes]:
            nonlocal peak
            for index, chunk in enumerate(chunks):
                if index % 16 == 0:
                    peak = max(peak, process.memory_info().rss)
                yield chunk

        file = api.post("/v1/files", content=watched(_form()), headers=headers).json()
        assert file["bytes"] == LARGE_BYTES
        digest = hashlib.sha256()
        with api.stream("GET", f"/v1/files/{file['id']}/content") as answer:
            time.sleep(0.5)  # a slow reader must not make the gateway read ahead
            for chunk in watched(answer.iter_bytes(1 << 20)):
                digest.update(chunk)
        assert digest.hexdigest() == file["sha256"]
        grown = max(peak, process.memory_info().rss) - before
        print(f"memory grew by {grown / (1 << 20):.1f} MiB over {before / (1 << 20):.1f}")  # noqa: T201 - the figure
        assert grown < MAY_GROW_BYTES


@pytest.mark.stack
def test_a_large_file_over_a_local_folder(tmp_path: Path) -> None:
    _both_ways(tmp_path, {})


@pytest.mark.stack
def test_a_large_file_over_s3(tmp_path: Path, s3_settings: BlobSettings) -> None:
    assert s3_settings.s3_secret_access_key is not None
    extra = {
        "SACCADE_BLOBS_URL": s3_settings.blobs_url,
        "SACCADE_S3_ENDPOINT": str(s3_settings.s3_endpoint),
        "SACCADE_S3_ACCESS_KEY_ID": str(s3_settings.s3_access_key_id),
        "SACCADE_S3_SECRET_ACCESS_KEY": s3_settings.s3_secret_access_key.get_secret_value(),
        "SACCADE_S3_REGION": s3_settings.s3_region,
    }
    _both_ways(tmp_path, extra)
