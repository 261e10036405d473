"""A small synchronous client of the HTTP API."""

from __future__ import annotations

import json
import mimetypes
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse
from pydantic import BaseModel

from saccade.galleries import Galleries
from saccade.models import Models
from saccade.problems import SaccadeUnreachable, raise_for_problem
from saccade_core.jobs import Job
from saccade_core.kind import ARTIFACT_NAME

DEFAULT_URL = "http://127.0.0.1:8000"
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LONG_POLL_S = 30
_SILENCE_S = 45.0
"""The gateway sends a comment every 15 s, so a stream that is silent for this long is dead."""


class UploadedFile(BaseModel):
    """A file in the object store; ``id`` is what jobs refer to."""

    id: str
    name: str
    media_type: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event of a job: ``state``, ``progress``, ``metric``, ``log``, ``artifact`` or ``done``."""

    id: str
    type: str
    data: dict[str, Any]


class Client:
    """Talks to one Saccade at ``url``, with ``api_key`` or the key in the variable ``SACCADE_API_KEY``.

    Connection errors and answers 429 and 503 are tried again, with the pause that ``Retry-After`` asks for, for
    ``patience_s`` seconds; after that they raise SaccadeUnreachable or SaccadeApiError. Job submissions carry an
    ``Idempotency-Key``, so a repeated one never makes a second job.
    """

    def __init__(self, url: str = DEFAULT_URL, *, api_key: str | None = None, patience_s: float = 15.0) -> None:
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        api_key = api_key or os.environ.get("SACCADE_API_KEY")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(30.0, read=60.0 + _LONG_POLL_S)
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout, follow_redirects=True)

    @property
    def galleries(self) -> Galleries:
        """Face galleries and the people in them."""
        return Galleries(self._json)

    @property
    def models(self) -> Models:
        """The model registry."""
        return Models(self._send, self._fetch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> bool:
        """Whether the gateway and all it needs answer now."""
        try:
            return self._http.get("/readyz", timeout=5.0).is_success
        except httpx.TransportError:
            return False

    def require(self) -> None:
        """Raise SaccadeUnreachable unless something answers right now."""
        try:
            self._http.get("/livez", timeout=5.0)
        except httpx.TransportError as error:
            raise SaccadeUnreachable(self.url, str(error) or type(error).__name__) from error

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of ``GET path``; query values that are None are left out."""
        return self._json("GET", path, params={k: v for k, v in query.items() if v is not None})

    def upload(self, path: Path | str) -> UploadedFile:
        """Stream a local file to the object store."""
        file = Path(path)
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"

        def send() -> httpx.Response:
            with file.open("rb") as stream:
                return self._http.post("/v1/files", files={"file": (file.name, stream, media_type)})

        return UploadedFile.model_validate(self._patiently(send).json())

    def submit(
        self,
        kind: str,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Job:
        """Submit a job; ``options`` are the request's other fields (``priority``, ``labels``, ``max_attempts``...)."""
        body = {"kind": kind, "inputs": dict(inputs or {}), "params": dict(params or {}), **options}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return Job.model_validate(self._json("POST", "/v1/jobs", json=body, headers=headers))

    def job(self, job_id: str, *, wait: int | None = None) -> Job:
        """The job now, or as soon as it ended, ``wait`` seconds (60 at most) from now at the latest."""
        return Job.model_validate(self.get(_job_path(job_id), wait=wait))

    def jobs(self, *, limit: int = 100, **filters: Any) -> list[Job]:
        """The newest jobs; filters are ``kind``, ``state``, ``label``, ``created_after`` and ``created_before``."""
        found: list[Job] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self.get("/v1/jobs", limit=min(limit - len(found), 1000), cursor=cursor, **filters)
            found += [Job.model_validate(item) for item in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
        return found

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The job in its final state; TimeoutError when it has none after ``timeout_s``."""
        limit = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _LONG_POLL_S if limit is None else limit - time.monotonic()
            job = self.job(job_id, wait=max(0, min(_LONG_POLL_S, int(left) + 1)))
            if job.state.final:
                return job
            if limit is not None and time.monotonic() >= limit:
                raise TimeoutError(f"{job_id} is {job.state} after {timeout_s} s.")

    def events(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Event]:
        """The job's events up to ``done``; a lost line is taken up again after the last event that came."""
        last, silent_since = last_event_id, time.monotonic()
        while True:
            try:
                for event in self._stream(job_id, last):
                    last, silent_since = event.id or last, time.monotonic()
                    yield event
                    if event.type == "done":
                        return
            except (httpx.TransportError, SSEError) as error:
                if time.monotonic() - silent_since > self._patience_s + _SILENCE_S:
                    raise SaccadeUnreachable(self.url, str(error)) from error
            time.sleep(_PAUSE_S)

    def cancel(self, job_id: str) -> Job:
        """Ask for the job's end."""
        return Job.model_validate(self._json("POST", f"{_job_path(job_id)}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Run a failed or cancelled job again."""
        return Job.model_validate(self._json("POST", f"{_job_path(job_id)}/retry"))

    def delete(self, job_id: str) -> None:
        """Remove the job's record and bytes."""
        self._patiently(lambda: self._http.delete(_job_path(job_id)))

    def download(self, job_id: str, name: str, path: Path | str) -> Path:
        """Stream an artefact to the local file ``path``, which appears whole or not at all."""
        return self._fetch(f"{_job_path(job_id)}/artifacts/{quote(name)}", Path(path))

    def _fetch(self, url: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")

        def send() -> httpx.Response:
            with self._http.stream("GET", url) as response:
                if response.is_success:
                    with partial.open("wb") as file:
                        for chunk in response.iter_bytes(1 << 20):
                            file.write(chunk)
                else:
                    response.read()
                return response

        try:
            self._patiently(send)
            return partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def download_all(self, job: Job, folder: Path | str) -> list[Path]:
        """All of the job's artefacts under ``folder``, by their names."""
        listed: list[dict[str, Any]] = self._json("GET", f"{_job_path(job.id)}/artifacts")["items"]
        names = [a["name"] for a in listed if ARTIFACT_NAME.fullmatch(a["name"])]  # a name never leaves the folder
        return [self.download(job.id, name, Path(folder) / name) for name in names]

    def _stream(self, job_id: str, last: str | None) -> Iterator[Event]:
        headers = {"Last-Event-ID": last} if last else {}
        timeout = httpx.Timeout(30.0, read=_SILENCE_S)
        path = f"{_job_path(job_id)}/events"
        with connect_sse(self._http, "GET", path, headers=headers, timeout=timeout) as source:
            if source.response.status_code not in {429, 503}:
                raise_for_problem(source.response)
            for message in source.iter_sse():
                if message.data:
                    yield Event(id=message.id, type=message.event, data=json.loads(message.data))

    def _json(self, method: str, path: str, **request: Any) -> Any:
        return self._send(method, path, **request).json()

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._patiently(lambda: self._http.request(method, path, **request))

    def _patiently(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        limit, pause = time.monotonic() + self._patience_s, _PAUSE_S
        while True:
            try:
                response = send()
            except httpx.TransportError as error:
                if time.monotonic() + pause > limit:
                    raise SaccadeUnreachable(self.url, str(error) or type(error).__name__) from error
            else:
                wanted = _retry_after(response)
                if wanted is None or time.monotonic() + max(wanted, pause) > limit:
                    raise_for_problem(response)
                    return response
                pause = max(wanted, pause)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait before the next try, or None where none is due."""
    if response.status_code not in {429, 503}:
        return None
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
