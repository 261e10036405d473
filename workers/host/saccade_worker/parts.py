"""The worker's side of a job that is split: which step a claimed record is, and what its watchers are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

from saccade_core.blobs import Blobs, Check
from saccade_core.errors import SaccadeError
from saccade_core.ids import part_id
from saccade_core.jobs import JobState, Provenance, queue_name
from saccade_core.kind import Kind, Pool
from saccade_core.parts import DonePart, Plan
from saccade_core.records import leases, parts
from saccade_core.records.leases import StoredArtifact
from saccade_core.records.parts import FOLDER, FinishedPart
from saccade_core.records.tables import ArtifactRow, JobRow
from saccade_worker.host import Host
from saccade_worker.steps import Step

log = logging.getLogger(__name__)

_PARALLEL_DOWNLOADS = 4
_TELL_EVERY_S = 1.0
#: When this worker last told the progress of a job in parts, by the job's id.
_told_at: dict[str, float] = {}


def step_of(host: Host, job: JobRow, scratch: Path, check: Check) -> tuple[Step, list[Provenance]]:
    """What is to be done with a claimed job; for a join the parts' artefacts are brought below ``scratch/parts``, and
    what the parts came from is told."""
    if job.part is not None:
        return Step("run_part", parts.part_of(job)), []
    if job.parts_total is None:
        return Step(), []
    finished = parts.finished_parts(host.db, job.id)
    _fetch(host.blobs, finished, scratch, check)
    done = [DonePart(f.part, f.result, scratch / FOLDER / f"{f.part.index:04d}", f.error) for f in finished]
    return Step("join", parts=done), [Provenance.model_validate(f.provenance) for f in finished if f.error is None]


def split(host: Host, job: JobRow, kind: Kind, plan: Plan) -> JobState:
    """Record and publish the parts; they wait behind interactive jobs, however many they are."""
    queue = queue_name(kind, cast("Pool", job.pool), "bulk")
    state = leases.split(host.db, job, plan.parts, queue, plan.expected)
    if state is JobState.RUNNING:
        host.publish([part_id(job.id, part.index) for part in plan.parts], queue)
    return state


def after_part(host: Host, job: JobRow, state: JobState) -> None:
    """Tell and publish what the end of a part's run means for its job."""
    parent = job.parent_id or job.id
    if state is JobState.CANCELLED or (state is JobState.FAILED and not job.part_may_fail):
        host.live.cancel(parent)  # it has ended with its part
        host.live.event(parent, "done", {"id": parent, "state": state})
    elif state.final:
        try:
            due = parts.join_due(host.db, job.id)
        except SaccadeError as error:
            log.info("the keeper will publish the join of %s: %s", parent, error)
            return
        if due is not None:
            host.publish([due.id], due.queue)


def tell_progress(host: Host, job: JobRow) -> None:
    """Tell the watchers of a part's job how far all its parts are, once a second at most: it reads all of them."""
    parent, at = job.parent_id or job.id, time.monotonic()
    for told in [other for other, then in _told_at.items() if at - then >= _TELL_EVERY_S]:
        del _told_at[told]
    if _told_at.setdefault(parent, at) != at:
        return
    with host.db.read() as session:
        together = parts.progress_of(session, [parent]).get(parent)
    if together is not None:
        host.live.event(parent, "progress", together)


def tell_artifacts(host: Host, job: JobRow, artifacts: Sequence[StoredArtifact]) -> None:
    """Tell the watchers which artefacts the job, or the job that this is a part of, has now."""
    folder = "" if job.part is None else f"{FOLDER}{job.part:04d}/"
    told = [{"name": folder + a.name, "media_type": a.media_type, "bytes": a.bytes} for a in artifacts]
    host.live.events(job.parent_id or job.id, [("artifact", data) for data in told])


def merged(own: Provenance, others: Sequence[Provenance]) -> Provenance:
    """The provenance of a result that was made in several runs, this one the last."""
    if not others:
        return own
    every = [*others, own]
    models = {(model.name, model.version, model.sha256): model for made in every for model in made.models}
    return own.model_copy(
        update={
            "models": list(models.values()),
            "code_version": "; ".join(dict.fromkeys(made.code_version for made in every)),
            "device": ", ".join(dict.fromkeys(made.device for made in every)),
        }
    )


def _fetch(blobs: Blobs, finished: Sequence[FinishedPart], scratch: Path, check: Check) -> None:
    for part in finished:
        (scratch / FOLDER / f"{part.part.index:04d}").mkdir(parents=True)
    artifacts = [artifact for part in finished for artifact in part.artifacts]
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        list(pool.map(partial(_fetch_one, blobs, scratch, check), artifacts))


def _fetch_one(blobs: Blobs, scratch: Path, check: Check, artifact: ArtifactRow) -> None:
    check()
    path = scratch / artifact.name  # parts/0003/frames.jsonl
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs.get_file(artifact.key, path, check=check)
