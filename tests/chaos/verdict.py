"""What the records and the API say after the mischief."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.load import Wanted, effects_of
from saccade.client import Client
from saccade_core.jobs import Job, JobState
from saccade_core.records.database import Database
from saccade_core.records.lookups import list_attempts


@dataclass
class Verdict:
    """What was found; every list names jobs that broke a promise, and should be empty."""

    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter[str])
    attempts: Counter[str] = field(default_factory=Counter[str])
    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    damaged: list[str] = field(default_factory=list[str])
    unclaimed_runs: list[str] = field(default_factory=list[str])
    strangers: list[str] = field(default_factory=list[str])


def judge(client: Client, db: Database, jobs: list[Wanted], ids: dict[str, str], folder: Path) -> Verdict:
    """Look at every job: it is there, it succeeded once, its artefacts have the bytes that they should have."""
    verdict = Verdict(jobs=len(jobs))
    runs = dict(effects_of(folder))
    found = {job.id: job for job in client.jobs(limit=10 * len(jobs)) if "key" in job.labels}
    verdict.strangers = sorted(found.keys() - set(ids.values()))
    for wanted in jobs:
        job = found.get(ids.get(wanted.key, ""))
        if job is None or not job.state.final:
            verdict.lost.append(wanted.key)
            continue
        outcomes = [attempt.outcome or "open" for attempt in list_attempts(db, job.id)]
        verdict.states[job.state] += 1
        verdict.attempts.update(outcomes)
        if outcomes.count("succeeded") != 1 or outcomes[-1] != "succeeded":
            verdict.doubled.append(f"{wanted.key} {outcomes}")
        if wanted.text and not 1 <= runs.get(wanted.key, 0) <= len(outcomes):
            verdict.unclaimed_runs.append(f"{wanted.key} {runs.get(wanted.key)} {outcomes}")
        if job.state != JobState.SUCCEEDED or not _whole(client, job, wanted, folder):
            verdict.damaged.append(f"{wanted.key} {job.state} {job.error}")
    return verdict


def _whole(client: Client, job: Job, wanted: Wanted, folder: Path) -> bool:
    """Whether the job's artefacts are there, with their sha256, and an echo's is what was asked for."""
    paths = client.download_all(job, folder / "downloads" / job.id)
    data = [path.read_bytes() for path in paths]
    whole = [hashlib.sha256(d).hexdigest() == a.sha256 for d, a in zip(data, job.artifacts, strict=True)]
    said = (job.result or {}).get("text")
    right = wanted.text is None or (data == [wanted.text.encode()] and said == wanted.said)
    return bool(whole) and all(whole) and right
