"""Short ways to run jobs of the kind ``probe`` in a worker host within the test's process."""

from __future__ import annotations

from typing import Any

from saccade_core.jobs import JobState
from saccade_core.records.lookups import JobWithArtifacts, get_job
from saccade_worker.execute import execute
from saccade_worker.host import Host
from servers.records import PROJECT, accepted


def run_probe(host: Host, mode: str = "echo", inputs: dict[str, Any] | None = None, **options: Any) -> JobWithArtifacts:
    """Execute a new job of the kind ``probe``; what is on record after it."""
    params = {"mode": mode, **options.pop("params", {})}
    job = accepted(host.db, params=params, inputs=inputs or {}, **options)
    execute(host, job.id)
    return get_job(host.db, PROJECT, job.id)


def problem_of(found: JobWithArtifacts) -> dict[str, Any]:
    """Why the job failed, which it must have."""
    assert found.row.state == JobState.FAILED
    assert found.row.error is not None
    return found.row.error
