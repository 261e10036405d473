"""What people see."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType

from saccade.problems import FieldProblem, SaccadeApiError
from saccade.tables import (
    LastingConsole,
    api_error_text,
    demo_table,
    job_view,
    jobs_table,
    links,
    size,
)
from saccade_core.jobs import ArtifactView, Job, JobLinks, JobProblem, JobState, Progress


def a_job(**changes: Any) -> Job:
    """A succeeded job with two matches."""
    now = datetime.now(UTC)
    job = Job(
        id="job_1",
        kind="match_template",
        pool="cpu",
        state=JobState.SUCCEEDED,
        priority="interactive",
        labels={},
        progress=Progress(fraction=1),
        inputs={"image": "file_1"},
        params={"threshold": 0.8},
        result={"matches": [{"box": [1, 2, 3, 4], "score": 0.98765}, {"box": [5, 6, 7, 8], "score": 0.9}]},
        error=None,
        artifacts=[_artifact("overlay.png")],
        attempts=1,
        max_attempts=3,
        created_at=now - timedelta(seconds=5),
        started_at=now - timedelta(seconds=4),
        finished_at=now - timedelta(seconds=3.5),
        run_at=None,
        expires_at=None,
        queue_s=1.0,
        run_s=0.5,
        provenance=None,
        links=JobLinks(self="/v1/jobs/job_1", events="", artifacts="/v1/jobs/job_1/artifacts", cancel=""),
    )
    return job.model_copy(update=changes)


def _artifact(name: str) -> ArtifactView:
    url = f"/v1/jobs/job_1/artifacts/{name}"
    return ArtifactView(name=name, media_type="image/png", bytes=2500, sha256="", url=url)


def seen(what: RenderableType) -> str:
    """The text on an 100 columns wide terminal."""
    printed = io.StringIO()
    Console(file=printed, width=100).print(what)
    return printed.getvalue()


FAILED = a_job(
    state=JobState.FAILED,
    result=None,
    error=JobProblem(code="unreadable_input", message="Not an [image].", retryable=False, field="inputs.image"),
)


def test_jobs_are_listed_with_state_and_reason() -> None:
    running = a_job(state=JobState.RUNNING, progress=Progress(fraction=0.25, stage="[page] 1"), run_s=None)
    lines = seen(jobs_table([a_job(), FAILED, running])).splitlines()
    assert lines[0].split() == ["JOB", "KIND", "STATE", "AGE", "RUN", "STAGE"]
    assert lines[1].split()[:3] == ["job_1", "match_template", "succeeded"]
    assert lines[1].split()[-2:] == ["0.5", "s"]
    assert lines[2].split()[2] == "failed"
    assert "unreadable_input" in lines[2]
    assert "25% [page] 1" in lines[3]  # never taken for rich's markup


def test_the_demo_table_and_its_links() -> None:
    text = seen(demo_table([a_job(), FAILED], {"see": "a model is not here: saccade assets pull glasses"}))
    assert ["see", "skipped"] in [line.replace("│", " ").split()[:2] for line in text.splitlines()]
    assert "saccade assets pull glasses" in text
    assert "1.50" in text
    assert "2 matches" in text
    assert "Not an [image]." in text
    many = a_job(artifacts=[_artifact(f"{n}.jpg") for n in range(9)])
    shown = links(many, "http://h")
    assert shown[:2] == ["http://h/v1/jobs/job_1", "http://h/v1/jobs/job_1/artifacts/0.jpg"]
    assert shown[-1] == "http://h/v1/jobs/job_1/artifacts (9 artefacts)"


def test_a_job_in_full() -> None:
    text = seen(job_view(a_job(), "http://h"))
    assert "attempt 1 of 3" in text
    assert "1, 2, 3, 4  0.988" in text
    assert "overlay.png  2.5 kB  http://h/v1/jobs/job_1/artifacts/overlay.png" in text
    assert "unreadable_input (inputs.image): Not an [image]." in seen(job_view(FAILED, "http://h"))


def test_problems_name_the_fields() -> None:
    problem = FieldProblem(field="params.quality", message="At most 100.", received=101)
    error = SaccadeApiError("A field breaks its rule.", code="invalid_request", status=422, errors=[problem])
    text = api_error_text(error)
    assert text.splitlines() == [
        "invalid_request (422): A field breaks its rule.",
        "  params.quality: At most 100. (received 101)",
    ]


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1000, 2_500_000, 3 * 10**9)] == ["0 B", "999 B", "1.0 kB", "2.5 MB", "3.0 GB"]


def test_a_console_whose_reader_left_goes_on_in_silence() -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    console = LastingConsole(file=Gone())
    console.print("said to nobody")
    console.print("and no more")
    assert console.quiet
