"""Who may call what, and whose things are seen."""

from __future__ import annotations

import httpx
import pytest

from saccade_core.records import keys
from saccade_gateway.__main__ import main
from saccade_gateway.auth import is_loopback
from saccade_gateway.files_test import PNG, upload
from saccade_gateway.testing import Serve, Served, image_request

_JOB = "/v1/jobs/job_" + "0" * 26
#: Method, path, and what each role gets: 403, or an answer that shows that it came through.
_CALLS = [
    ("GET", "/v1/jobs", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", _JOB, {"read": 404, "submit": 404, "admin": 404}),
    ("GET", f"{_JOB}/events", {"read": 404, "submit": 404, "admin": 404}),
    ("GET", f"{_JOB}/artifacts", {"read": 404, "submit": 404, "admin": 404}),
    ("GET", f"{_JOB}/artifacts/a.png", {"read": 404, "submit": 404, "admin": 404}),
    ("POST", "/v1/jobs", {"read": 403, "submit": 422, "admin": 422}),
    ("POST", f"{_JOB}/cancel", {"read": 403, "submit": 404, "admin": 404}),
    ("POST", f"{_JOB}/retry", {"read": 403, "submit": 404, "admin": 404}),
    ("DELETE", _JOB, {"read": 403, "submit": 404, "admin": 404}),
    ("POST", "/v1/files", {"read": 403, "submit": 415, "admin": 415}),
    ("GET", "/v1/files/file_x", {"read": 404, "submit": 404, "admin": 404}),
    ("GET", "/v1/files/file_x/content", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/files/file_x", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/kinds", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/v1/kinds/edit_image", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/v1/queues", {"read": 200, "submit": 200, "admin": 200}),
    ("POST", "/v1/queues/cpu/pause", {"read": 403, "submit": 403, "admin": 200}),
    ("POST", "/v1/queues/cpu/resume", {"read": 403, "submit": 403, "admin": 200}),
    ("GET", "/v1/workers", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/metrics", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/v1/galleries", {"read": 200, "submit": 200, "admin": 200}),
    ("POST", "/v1/galleries", {"read": 403, "submit": 422, "admin": 422}),
    ("GET", "/v1/galleries/g", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/galleries/g", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/galleries/g/people", {"read": 404, "submit": 404, "admin": 404}),
    ("GET", "/v1/galleries/g/people/p", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/galleries/g/people/p", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/galleries/g/faces/f/crop", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/galleries/g/faces/f", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/scaling", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/v1/models", {"read": 200, "submit": 200, "admin": 200}),
    ("GET", "/v1/models/m", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/models/m", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/models/m/compare?versions=1,2", {"read": 404, "submit": 404, "admin": 404}),
    ("GET", "/v1/models/m/versions/1", {"read": 404, "submit": 404, "admin": 404}),
    ("DELETE", "/v1/models/m/versions/1", {"read": 403, "submit": 404, "admin": 404}),
    ("GET", "/v1/models/m/versions/1/files/model.h5", {"read": 404, "submit": 404, "admin": 404}),
    ("PUT", "/v1/models/m/aliases/production", {"read": 403, "submit": 422, "admin": 422}),
    ("DELETE", "/v1/models/m/aliases/production", {"read": 403, "submit": 404, "admin": 404}),
    ("POST", "/v1/models/m/aliases/production/rollback", {"read": 403, "submit": 404, "admin": 404}),
    ("POST", "/v1/models/m/predict", {"read": 403, "submit": 422, "admin": 422}),
]


def test_every_call_asks_for_its_role(gateway: Served) -> None:
    secrets = {role: gateway.key(role) for role in keys.ROLES}
    paths = {(m.upper(), p) for p, ms in gateway.app.openapi()["paths"].items() for m in ms}
    assert len(paths) == len(_CALLS) + 2  # /livez and /readyz ask for none
    with gateway.client() as api:
        for method, path, expected in _CALLS:
            headers = {"Content-Type": "application/json"}
            answer = api.request(method, path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
            for role, status in expected.items():
                headers = {"Authorization": f"Bearer {secrets[role]}", "Content-Type": "application/json"}
                answer = api.request(method, path, headers=headers)
                assert answer.status_code == status, (method, path, role, answer.text)
                if status >= 400:
                    assert answer.headers["content-type"] == "application/problem+json"
        for path in ("/livez", "/readyz", "/docs", "/openapi.json"):
            assert api.get(path).status_code == 200


def test_keys_that_are_none(gateway: Served) -> None:
    secret = gateway.key()
    with gateway.client() as api:
        for value in ("Bearer sk_wrong", "Bearer", f"Basic {secret}", secret, "Bearer \xff"):
            answer = api.get("/v1/jobs", headers={b"Authorization": value.encode("latin-1")})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert api.get("/v1/jobs", headers={"Authorization": f"bearer {secret}"}).status_code == 200


def test_a_revoked_key_ends(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade_gateway.auth._REMEMBER_S", 0.0)
    row, secret = keys.make_key(gateway.db, project="a", role="read")
    with gateway.client(secret) as api:
        assert api.get("/v1/jobs").status_code == 200
        keys.revoke_key(gateway.db, row.id)
        assert api.get("/v1/jobs").status_code == 401


def test_projects_do_not_see_each_other(gateway: Served) -> None:
    with gateway.client(gateway.key("admin", "a")) as a, gateway.client(gateway.key("admin", "b")) as b:
        file_id = upload(a, PNG).json()["id"]
        job_id = a.post("/v1/jobs", json=image_request(inputs={"image": file_id})).json()["id"]
        gateway.finish(job_id, {"image.png": PNG})
        for method, path in (
            ("GET", f"/v1/files/{file_id}"),
            ("GET", f"/v1/files/{file_id}/content"),
            ("DELETE", f"/v1/files/{file_id}"),
            ("GET", f"/v1/jobs/{job_id}"),
            ("GET", f"/v1/jobs/{job_id}/events"),
            ("GET", f"/v1/jobs/{job_id}/artifacts"),
            ("GET", f"/v1/jobs/{job_id}/artifacts/image.png"),
            ("POST", f"/v1/jobs/{job_id}/cancel"),
            ("POST", f"/v1/jobs/{job_id}/retry"),
            ("DELETE", f"/v1/jobs/{job_id}"),
        ):
            assert b.request(method, path).status_code == 404, path
        assert b.get("/v1/jobs").json()["items"] == []

        def refusal(api: httpx.Client, reference: str) -> tuple[int, str, str]:
            answer = api.post("/v1/jobs", json=image_request(inputs={"image": reference}))
            error = answer.json()["errors"][0]
            assert (error["field"], error["received"]) == ("inputs.image", reference)
            return answer.status_code, answer.json()["code"], error["message"].replace(reference, "X")

        unknown = refusal(b, "file_" + "0" * 26)
        assert unknown[:2] == (422, "unknown_reference")
        assert refusal(b, file_id) == refusal(b, f"{job_id}/image.png") == unknown
        assert a.get(f"/v1/files/{file_id}").status_code == 200
        same = {"Idempotency-Key": "k"}
        made = [api.post("/v1/jobs", json=image_request(), headers=same).json()["id"] for api in (a, b)]
        assert made[0] != made[1]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[broken"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"X-Forwarded-For": "203.0.113.7"}, 403),
    ],
)
def test_without_keys_only_this_machine_is_served(
    shared_api: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = shared_api.get("/v1/jobs", headers=headers)
    assert answer.status_code == status
    assert (answer.json().get("code") == "forbidden") == (status == 403)


def test_with_keys_pages_from_elsewhere_are_served(gateway: Served) -> None:
    with gateway.client(gateway.key("read")) as api:
        assert api.get("/v1/jobs", headers={"Origin": "https://app.example", "Host": "api.example"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("LOCALHOST", True)]
    + [(host, False) for host in ("192.0.2.1", "::", "10.0.0.1", "example.org", "", "127.0.0.1.evil.example")],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_process_refuses_to_listen_elsewhere_without_a_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve() as gateway:
        monkeypatch.setenv("SACCADE_DATABASE_URL", gateway.settings.database_url)
        monkeypatch.setenv("SACCADE_BLOBS_URL", gateway.settings.blobs_url)
        assert main(["--host", "192.0.2.1"]) == 1
        assert "API key" in capsys.readouterr().err
        assert not keys.any_key(gateway.db)
