"""Where a job's inputs come from, over real Redis, SQLite and a local folder."""

from __future__ import annotations

import base64
import hashlib

import obstore
import pytest

from saccade_core.ids import new_id
from saccade_core.jobs import JobState
from saccade_core.records.files import add_file
from saccade_core.s3 import bucket_and_prefix, s3_store
from saccade_core.settings import BlobSettings
from saccade_worker.host import Host
from saccade_worker.settings import WorkerSettings
from servers.records import PROJECT, alter
from servers.running import problem_of, run_probe

pytestmark = pytest.mark.stack


def _upload(host: Host, data: bytes = b"from a file", media_type: str = "text/plain", project: str = PROJECT) -> str:
    file_id = new_id("file")
    stored = host.blobs.put_bytes(f"files/{file_id}", data, media_type)
    add_file(
        host.db,
        file_id=file_id,
        project=project,
        name="../a b.txt",
        media_type=media_type,
        size=stored.bytes,
        sha256=stored.sha256,
        key=f"files/{file_id}",
        ttl_s=None,
    )
    return file_id


def test_an_uploaded_file(host: Host) -> None:
    file_id = _upload(host)
    found = run_probe(host, inputs={"file": file_id}, file_ids=[file_id])
    assert found.row.result == {"text": "from a file", "resumed_at": 0}
    assert found.row.provenance is not None
    assert found.row.provenance["input_sha256"] == {"file": hashlib.sha256(b"from a file").hexdigest()}


@pytest.mark.parametrize(
    "uri", ["data:text/plain;base64," + base64.b64encode(b"in line").decode(), "data:text/plain,in%20line"]
)
def test_a_data_uri(host: Host, uri: str) -> None:
    assert run_probe(host, inputs={"file": uri}).row.result == {"text": "in line", "resumed_at": 0}


def test_an_artifact_of_another_job(host: Host) -> None:
    first = run_probe(host, params={"text": "made before"}).row
    found = run_probe(host, inputs={"file": f"{first.id}/echo.txt"})
    assert found.row.result == {"text": "made before", "resumed_at": 0}


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("file_00000000000000000000000000", "unreadable_input"),
        ("job_00000000000000000000000000/echo.txt", "unreadable_input"),
        ("job_00000000000000000000000000", "unreadable_input"),
        ("data:text/plain;base64,%%%", "unreadable_input"),
        ("https://127.0.0.1/a.png", "fetch_refused"),
        ("https://[::1]/a.png", "fetch_refused"),
        ("https://169.254.169.254/latest/meta-data", "fetch_refused"),
        ("s3://not-on-the-list/a.png", "fetch_refused"),
        ("ftp://example.org/a.png", "fetch_refused"),
        ("/etc/passwd", "fetch_refused"),
        ("file:///etc/passwd", "fetch_refused"),
    ],
)
def test_a_reference_that_leads_nowhere(host: Host, reference: str, code: str) -> None:
    problem = problem_of(run_probe(host, inputs={"file": reference}))
    assert (problem["code"], problem["field"], problem["retryable"]) == (code, "inputs.file", False)


def test_a_file_whose_bytes_are_gone(host: Host) -> None:
    file_id = _upload(host)
    host.blobs.delete([f"files/{file_id}"])
    assert problem_of(run_probe(host, inputs={"file": file_id}))["code"] == "unreadable_input"


def test_things_of_another_project_are_not_there(host: Host) -> None:
    theirs = run_probe(host, project="tests", params={"text": "x"}).row
    alter(host.db, theirs.id, project="other")
    file_id = _upload(host, project="other")
    for reference in (file_id, f"{theirs.id}/echo.txt"):
        assert problem_of(run_probe(host, inputs={"file": reference}))["code"] == "unreadable_input"


def test_a_file_of_another_type_is_refused(host: Host) -> None:
    file_id = _upload(host, b"%PDF-1.7", "application/pdf")
    problem = problem_of(run_probe(host, inputs={"file": file_id}))
    assert (problem["code"], problem["field"]) == ("unsupported_media_type", "inputs.file")


def test_an_object_of_an_allowed_bucket_whatever_its_key(
    worker_settings: WorkerSettings, s3_settings: BlobSettings, probe: None
) -> None:
    del probe
    bucket, _ = bucket_and_prefix(s3_settings)
    obstore.put(s3_store(s3_settings), "scans 2026/Müller + Söhne (1).txt", b"from a bucket")
    changes = s3_settings.model_dump() | {"blobs_url": worker_settings.blobs_url, "fetch_buckets": [bucket]}
    host = Host(worker_settings.model_copy(update=changes), pool="cpu", queues="cpu", worker_id="s3")
    host.start()
    try:
        found = run_probe(host, inputs={"file": f"s3://{bucket}/scans 2026/Müller + Söhne (1).txt"})
        assert found.row.result == {"text": "from a bucket", "resumed_at": 0}, found.row.error
        gone = run_probe(host, inputs={"file": f"s3://{bucket}/not there"})
        assert problem_of(gone)["code"] == "unreadable_input"
    finally:
        host.close()


def test_all_inputs_together_have_a_limit(worker_settings: WorkerSettings, probe: None) -> None:
    del probe
    settings = worker_settings.model_copy(update={"max_input_bytes": 10})
    host = Host(settings, pool="cpu", queues="cpu", worker_id="small")
    host.start()
    try:
        file_id = _upload(host, b"eleven byte")
        assert problem_of(run_probe(host, inputs={"file": file_id}))["code"] == "input_too_large"
        assert run_probe(host, inputs={"file": _upload(host, b"ten bytes!")}).row.state == JobState.SUCCEEDED
    finally:
        host.close()
