"""The client against a small server that misbehaves as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from saccade.client import Client
from saccade.problems import SaccadeApiError, SaccadeUnreachable
from saccade.stack.config import free_port
from saccade.tables_test import a_job

Answer = tuple[int, dict[str, str], bytes]

JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}
BUSY: Answer = (503, {"Retry-After": "0", "Content-Type": "application/problem+json"}, b'{"code": "unavailable"}')
JOB: Answer = (202, JSON, a_job().model_dump_json().encode())


class Script:
    """Answers to give, one for each request, and the requests that came; the last answer is repeated."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                script.requests.append((f"{self.command} {self.path}", dict(self.headers), body))
                status, headers, content = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def script() -> Generator[Script]:
    """A server that follows a script."""
    made = Script()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_job_is_submitted_again_under_the_same_key(script: Script) -> None:
    script.answers = [BUSY, BUSY, JOB]
    with Client(script.url, api_key="sk_x") as client:
        job = client.submit("edit_image", {"image": "file_1"}, {"quality": 5}, priority="bulk")
    assert job.id == "job_1"
    assert [line for line, _, _ in script.requests] == ["POST /v1/jobs"] * 3
    assert len({headers["Idempotency-Key"] for _, headers, _ in script.requests}) == 1
    assert script.requests[0][1]["Authorization"] == "Bearer sk_x"
    assert json.loads(script.requests[-1][2]) == {
        "kind": "edit_image",
        "inputs": {"image": "file_1"},
        "params": {"quality": 5},
        "priority": "bulk",
    }


def test_patience_ends(script: Script) -> None:
    script.answers = [BUSY]
    with Client(script.url, patience_s=0.3) as client, pytest.raises(SaccadeApiError) as caught:
        client.job("job_1")
    assert (caught.value.status, caught.value.code) == (503, "unavailable")
    assert len(script.requests) > 1


def test_nothing_answers() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", patience_s=0.3) as client:
        assert not client.ready()
        with pytest.raises(SaccadeUnreachable):
            client.job("job_1")


def test_a_problem_document_becomes_an_error(script: Script) -> None:
    problem = {
        "code": "invalid_request",
        "detail": "A field breaks its rule.",
        "errors": [{"field": "params.quality", "message": "At most 100.", "received": 101}],
    }
    script.answers = [(422, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())]
    with Client(script.url) as client, pytest.raises(SaccadeApiError, match=r"A field breaks its rule\.") as caught:
        client.submit("edit_image")
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert caught.value.errors[0].field == "params.quality"
    assert len(script.requests) == 1


def test_what_is_not_saccade_is_an_error_too(script: Script) -> None:
    script.answers = [(404, {}, b"<html>")]
    with Client(script.url) as client, pytest.raises(SaccadeApiError, match="<html>"):
        client.job("job_1")


def test_a_lost_stream_of_events_is_taken_up_again(script: Script) -> None:
    first = (
        b'id: 1-0\nevent: state\ndata: {"state": "running"}\n\n: still here\n\nid: 2-0\nevent: progress\ndata: {"fra'
    )
    second = b'id: 2-0\nevent: progress\ndata: {"fraction": 0.5}\n\nid: 3-0\nevent: done\ndata: {}\n\n'
    script.answers = [(200, EVENTS, first), BUSY, (200, EVENTS, second)]
    with Client(script.url) as client:
        events = list(client.events("job_1"))
    assert [(event.id, event.type, event.data) for event in events] == [
        ("1-0", "state", {"state": "running"}),
        ("2-0", "progress", {"fraction": 0.5}),
        ("3-0", "done", {}),
    ]
    assert [headers.get("Last-Event-ID") for _, headers, _ in script.requests] == [None, "1-0", "1-0"]


def test_an_artefact_comes_whole_or_not_at_all(script: Script, tmp_path: Path) -> None:
    script.answers = [(200, {"Content-Length": "10"}, b"half"), (200, {"Content-Length": "10"}, b"0123456789")]
    with Client(script.url) as client:
        path = client.download("job_1", "frames/1.jpg", tmp_path / "frames" / "1.jpg")
    assert path.read_bytes() == b"0123456789"
    assert script.requests[0][0] == "GET /v1/jobs/job_1/artifacts/frames/1.jpg"
    assert [p.name for p in path.parent.iterdir()] == ["1.jpg"]


def test_files_are_streamed_as_a_form(script: Script, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG")
    answer = {"id": "file_1", "name": "a.png", "media_type": "image/png", "bytes": 4, "sha256": ""}
    script.answers = [BUSY, (201, JSON, json.dumps(answer).encode())]
    with Client(script.url) as client:
        assert client.upload(file).id == "file_1"
    for _, _, body in script.requests:
        assert b'name="file"; filename="a.png"' in body
        assert b"\x89PNG" in body
