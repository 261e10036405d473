"""What is told of a job on its way where there is no terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from saccade import watching
from saccade.client import Client, Event
from saccade.tables_test import a_job
from saccade.watching import follow, remedy
from saccade_core.jobs import Job, no_worker_stage


class _Told(Client):
    """A client whose job has these events."""

    def __init__(self, *events: tuple[str, dict[str, Any]]) -> None:
        super().__init__()
        self._events = events

    def events(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Event]:
        del job_id, last_event_id
        for kind, data in self._events:
            yield Event("", kind, data)

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        del job_id, timeout_s
        return a_job()


def _lines(*events: tuple[str, dict[str, Any]]) -> list[str]:
    file = io.StringIO()
    follow(_Told(*events, ("done", {})), a_job(), Console(file=file), cancel=False)
    return file.getvalue().splitlines()


def test_changes_are_lines() -> None:
    assert _lines(
        ("state", {"state": "queued"}),
        ("state", {"state": "running"}),
        ("progress", {"fraction": 0.25, "stage": "[frames]", "done": 1, "total": 4, "eta_s": 3.0}),
        ("progress", {"fraction": 0.5, "stage": "[frames]", "done": 2, "total": 4}),
        ("log", {"message": "[a note]"}),
        ("state", {"state": "succeeded"}),
        ("done", {"state": "succeeded"}),
    ) == ["job_1 queued", "job_1 running", "job_1 25% [frames] 1/4, 3 s left", "[a note]", "job_1 succeeded"]


def test_progress_comes_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [("progress", {"fraction": n / 10, "stage": "frames"}) for n in (1, 2, 3)]
    assert _lines(*told) == ["job_1 10% frames"]
    monkeypatch.setattr(watching, "_PROGRESS_EVERY_S", 0.0)
    assert _lines(*told) == [f"job_1 {n}0% frames" for n in (1, 2, 3)]


def test_nobody_who_could_start_it() -> None:
    stage = no_worker_stage("cpu")
    lines = _lines(("progress", {"fraction": 0, "stage": stage}))
    assert lines == [f"job_1 0% {stage}", "it starts with such a worker: saccade up --workers cpu=2"]
    assert remedy(no_worker_stage("torch"), "torch").endswith("saccade up --workers cpu=2,torch=1")
    assert remedy("frames", "torch") == ""
