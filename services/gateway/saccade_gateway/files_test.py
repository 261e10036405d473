"""Files: upload, recognition, names, ranges, deletion; and what is not a proper upload."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from saccade_core.blobs import open_blobs
from saccade_core.settings import BlobSettings
from saccade_gateway.testing import Serve, Served, image_request
from saccade_gateway.uploads import safe_name

PNG = b"\x89PNG\r\n\x1a\n" + b"0123456789" * 2000


def stored_keys(gateway: Served) -> list[str]:
    return [stat.key for stat in open_blobs(gateway.settings).list()]


def upload(api: httpx.Client, data: bytes, name: str = "a.png", media_type: str = "image/png") -> httpx.Response:
    return api.post("/v1/files", files={"file": (name, data, media_type)})


@pytest.fixture(scope="module")
def content_url(shared_api: httpx.Client) -> str:
    """A file that every test may read."""
    return f"/v1/files/{upload(shared_api, PNG).json()['id']}/content"


def test_a_file_comes_back_as_it_was(gateway: Served, api: httpx.Client) -> None:
    answer = upload(api, PNG, "holiday.png")
    assert answer.status_code == 201
    file = answer.json()
    assert answer.headers["location"] == f"/v1/files/{file['id']}"
    assert (file["name"], file["media_type"], file["bytes"]) == ("holiday.png", "image/png", len(PNG))
    assert file["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert file["expires_at"] > file["created_at"]
    assert api.get(f"/v1/files/{file['id']}").json() == file
    assert api.get(f"/v1/files/{file['id']}/content").content == PNG
    assert stored_keys(gateway) == [f"files/default/{file['id']}"]
    assert api.delete(f"/v1/files/{file['id']}").status_code == 204
    assert stored_keys(gateway) == []
    assert api.get(f"/v1/files/{file['id']}").status_code == 404
    assert api.get(f"/v1/files/{file['id']}/content").status_code == 404
    assert api.delete(f"/v1/files/{file['id']}").status_code == 404


def test_an_empty_file_is_a_file(api: httpx.Client) -> None:
    file = upload(api, b"").json()
    assert (file["bytes"], file["media_type"]) == (0, "application/octet-stream")
    answer = api.get(f"/v1/files/{file['id']}/content")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_bytes_decide_on_the_type(api: httpx.Client) -> None:
    file = upload(api, b"<html><script>alert(1)</script></html>", "a.png", "image/png").json()
    assert file["media_type"] == "text/plain"
    answer = api.get(f"/v1/files/{file['id']}/content")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    refused = api.post("/v1/jobs", json=image_request(inputs={"image": file["id"]}))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (415, "inputs.image")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
        ("\u202egpj.exe", "gpj.exe"),
        ("größe 1.png", "größe 1.png"),
        ("..", "file"),
        ("", "file"),
        ("x" * 500 + ".jpeg", "x" * 195 + ".jpeg"),
        ("a\x00b.png", "ab.png"),
    ],
)
def test_names_are_for_display_only(given: str, shown: str) -> None:
    assert safe_name(given) == shown
    assert safe_name(shown) == shown


def test_hostile_names_come_back_harmless(shared_api: httpx.Client) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="..\\\\..\\\\a\\";x=.png"\r\n\r\n'
        + PNG
        + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    file = shared_api.post("/v1/files", content=body, headers=headers).json()
    disposition = shared_api.get(f"/v1/files/{file['id']}/content").headers["content-disposition"]
    assert disposition.count('"') == 2
    assert "/" not in file["name"]
    assert "\\" not in file["name"]


@pytest.mark.parametrize(
    ("asked", "status", "part", "content_range"),
    [
        ("bytes=0-9", 206, PNG[:10], f"bytes 0-9/{len(PNG)}"),
        ("bytes=100-", 206, PNG[100:], f"bytes 100-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-7", 206, PNG[-7:], f"bytes {len(PNG) - 7}-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-99999999", 206, PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=5-99999999", 206, PNG[5:], f"bytes 5-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=5-4", 200, PNG, None),
        ("bytes=0-1,4-5", 200, PNG, None),
        ("bytes=-", 200, PNG, None),
        ("pages=1-2", 200, PNG, None),
    ],
)
def test_ranges(
    shared_api: httpx.Client, content_url: str, asked: str, status: int, part: bytes, content_range: str | None
) -> None:
    answer = shared_api.get(content_url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, part)
    assert answer.headers.get("content-range") == content_range
    head = shared_api.head(content_url, headers={"Range": asked})
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["content-length"] == str(len(part))


@pytest.mark.parametrize("asked", [f"bytes={len(PNG)}-", "bytes=-0"])
def test_a_range_beyond_the_end(shared_api: httpx.Client, content_url: str, asked: str) -> None:
    answer = shared_api.get(content_url, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(PNG)}"


def test_what_the_client_has_is_not_sent(shared_api: httpx.Client, content_url: str) -> None:
    etag = shared_api.get(content_url).headers["etag"]
    for tags in (etag, f'"other", W/{etag}', "*"):
        answer = shared_api.get(content_url, headers={"If-None-Match": tags})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert shared_api.get(content_url, headers={"If-None-Match": '"other"'}).status_code == 200
    fresh = shared_api.get(content_url, headers={"Range": "bytes=0-1", "If-Range": etag})
    stale = shared_api.get(content_url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (fresh.status_code, stale.status_code) == (206, 200)


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"", "multipart/form-data; boundary=b", 422, "invalid_request"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422, "invalid_request"),
        (b"no boundary at all", "multipart/form-data; boundary=b", 422, "invalid_request"),
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"--b--\r\n", "multipart/form-data", 415, "unsupported_media_type"),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            422,
            "invalid_request",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nnever ends',
            "multipart/form-data; boundary=b",
            422,
            "invalid_request",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
            "multipart/form-data; boundary=b",
            422,
            "invalid_request",
        ),
        (b"--b\r\n" + b"X-Long: " + b"x" * 100_000, "multipart/form-data; boundary=b", 422, "invalid_request"),
    ],
)
def test_broken_uploads_leave_nothing(gateway: Served, body: bytes, media_type: str, status: int, code: str) -> None:
    with gateway.client() as api:
        answer = api.post("/v1/files", content=body, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert stored_keys(gateway) == []


def test_too_large_a_file_leaves_nothing(serve: Serve) -> None:
    with serve(max_upload_bytes=100_000) as gateway, gateway.client() as api:
        assert upload(api, b"x" * 100_000).status_code == 201
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        pieces = [head, *([b"x" * 10_000] * 20), b"\r\n--b--\r\n"]
        answers = [
            upload(api, b"x" * 100_001),
            upload(api, b"x" * 3_000_000),
            api.post("/v1/files", content=iter(pieces), headers={"Content-Type": "multipart/form-data; boundary=b"}),
        ]
        assert [(a.status_code, a.json()["code"]) for a in answers] == [(413, "too_large")] * 3
        assert len(stored_keys(gateway)) == 1


def test_an_upload_that_breaks_off_leaves_nothing(gateway: Served) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        'Content-Length: 9000000\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    parts = Path(gateway.settings.blobs_url.removeprefix("file:")) / "tmp"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"x" * 3_000_000)
        await_true(lambda: parts.exists() and any(parts.iterdir()))
    await_true(lambda: not any(parts.iterdir()))
    assert stored_keys(gateway) == []


def await_true(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_file_in_use_stays(gateway: Served, api: httpx.Client) -> None:
    file_id = upload(api, PNG).json()["id"]
    job = api.post("/v1/jobs", json=image_request(inputs={"image": file_id})).json()
    assert job["inputs"] == {"image": file_id}
    refused = api.delete(f"/v1/files/{file_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    gateway.finish(job["id"], {"frames/image.png": PNG})
    assert api.delete(f"/v1/files/{file_id}").status_code == 204
    chained = api.post("/v1/jobs", json=image_request(inputs={"image": f"{job['id']}/frames/image.png"}))
    assert chained.status_code == 202


def test_artifacts_are_served_as_files_are(gateway: Served, api: httpx.Client) -> None:
    job_id = api.post("/v1/jobs", json=image_request()).json()["id"]
    assert api.get(f"/v1/jobs/{job_id}/artifacts").json() == {"items": []}
    assert api.get(f"/v1/jobs/{job_id}/artifacts/image.png").status_code == 404
    gateway.finish(job_id, {"frames/image.png": PNG})
    url = f"/v1/jobs/{job_id}/artifacts/frames/image.png"
    answer = api.get(url, headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, PNG[:4])
    assert 'inline; filename="image.png"' in answer.headers["content-disposition"]
    assert api.head(url).headers["content-length"] == str(len(PNG))
    assert api.get(f"/v1/jobs/{job_id}/artifacts/../../x").status_code == 404


def test_lost_bytes_are_no_cut_answer(gateway: Served, api: httpx.Client) -> None:
    file_id = upload(api, PNG).json()["id"]
    open_blobs(gateway.settings).delete([f"files/default/{file_id}"])
    answer = api.get(f"/v1/files/{file_id}/content")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.stack
def test_the_object_store_serves_what_clients_may_get_there(serve: Serve, s3_settings: BlobSettings) -> None:
    given = {name: getattr(s3_settings, name) for name in BlobSettings.model_fields}
    with serve(**given) as gateway, gateway.client() as api:
        url = f"/v1/files/{upload(api, PNG, 'größe.png').json()['id']}/content"
        sent_on = api.get(url)
        assert sent_on.status_code == 307
        answer = httpx.get(sent_on.headers["location"])
        assert (answer.status_code, answer.content) == (200, PNG)
        assert api.head(url).headers["content-length"] == str(len(PNG))
    with serve(**given, presign=False) as gateway, gateway.client() as api:
        url = f"/v1/files/{upload(api, PNG).json()['id']}/content"
        answer = api.get(url, headers={"Range": "bytes=10-19"})
        assert (answer.status_code, answer.content) == (206, PNG[10:20])
