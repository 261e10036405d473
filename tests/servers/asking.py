"""Jobs on registered assets, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saccade_core.assets import asset
from saccade_core.jobs import Job, JobState
from servers.stack import Stack

#: A file, or several: assets by their registered path, or local files.
Given = str | Path | list[str | Path]


def submitted(stack: Stack, kind: str, inputs: dict[str, Given], **params: Any) -> Job:
    """The job, just accepted."""

    def upload(value: Given) -> Any:
        if isinstance(value, list):
            return [upload(item) for item in value]
        return stack.client.upload(value if isinstance(value, Path) else asset(value)).id

    return stack.client.submit(kind, {name: upload(value) for name, value in inputs.items()}, params)


def finished(stack: Stack, kind: str, inputs: dict[str, Given], **params: Any) -> Job:
    """The ended job, which must have succeeded."""
    job = submitted(stack, kind, inputs, **params)
    ended = stack.client.wait(job.id, timeout_s=280)
    assert ended.state is JobState.SUCCEEDED, ended.error
    return ended


def result_of(job: Job) -> dict[str, Any]:
    """The result of a succeeded job."""
    assert job.result is not None
    return job.result


def artifact_bytes(stack: Stack, job: Job, name: str, folder: Path) -> bytes:
    """The bytes of one artefact."""
    return stack.client.download(job.id, name, folder / name).read_bytes()
