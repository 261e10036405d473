"""One attempt at a job: what is brought before the run, the run, and what is to be recorded of it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from saccade_core.errors import Cancelled, EngineFailed, InputError, InputTooLarge, SaccadeError, StorageFailed
from saccade_core.jobs import JobState, ModelUsed, Provenance
from saccade_core.kind import Kind
from saccade_core.records import leases
from saccade_core.records.successes import Success
from saccade_core.records.tables import FileRow, JobRow
from saccade_worker.child import Drained, Task, Watch
from saccade_worker.fetch import Fetcher
from saccade_worker.host import Host
from saccade_worker.job_gallery import Effect, gallery_of
from saccade_worker.job_model import model_of
from saccade_worker.lease import Lease
from saccade_worker.parts import merged, split, step_of, tell_artifacts, tell_progress
from saccade_worker.steps import Split
from saccade_worker.store import fetch_checkpoints, store_artifacts, store_checkpoint

log = logging.getLogger(__name__)

#: What a part gives beside its artefacts is small: those of all parts go to the join in one message.
_PART_RESULT_BYTES = 1 << 20

#: Records how an attempt ended and gives the job's new state; raises LeaseLost or Unavailable.
Ending = Callable[[], JobState]


@dataclass(frozen=True, slots=True)
class Ready:
    """All that the run needs is here."""

    task: Task
    came_from: list[Provenance]  # of a join: what the parts came from


@dataclass(frozen=True, slots=True)
class _Ran:
    task: Task
    came_from: list[Provenance]
    result: dict[str, Any]


@dataclass(eq=False)
class Attempt:
    """A claimed job on its way. ``prepare``, ``run`` and ``ending`` are called in this order, each by any thread;
    ``failed`` takes the place of what is left when one of the first two raised."""

    host: Host
    job: JobRow
    kind: Kind
    _closing: ExitStack = field(default_factory=ExitStack, init=False)
    _ran: _Ran | None = field(default=None, init=False)
    _ending: Ending | None = field(default=None, init=False)
    _handed_back: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        noted = partial(tell_progress, self.host, self.job) if self.job.parent_id else None
        self.lease = Lease(self.host.db, self.job, noted)
        self.host.heart.keep(self.lease)
        self._closing.callback(self.host.heart.drop, self.lease)
        self._provenance = Provenance(
            code_version=f"saccade {_own_version()}, {self.kind.name} {self.kind.version}",
            params_digest=_digest(self.job.params),
            device=self.host.device,
        )
        self._scratch: Path | None = None
        try:  # at once: by this folder another worker knows, should this one be killed, that the job is to be had
            self._scratch = self._closing.enter_context(self.host.scratch.for_job(self.job.id, self.job.token))
        except OSError as error:
            self._no_scratch = error

    def problem(self) -> Exception | None:
        """Why the attempt should stop now: the lease's reason, or the worker's own stop."""
        over = self._handed_back or self.host.drained()
        return self.lease.problem() or (Drained() if over else None)

    def prepare(self, known: Mapping[str, FileRow]) -> Ready:
        """Bring what the run needs; ``known`` are records of files that may be among it."""
        host, job, kind, scratch, check = self.host, self.job, self.kind, self._scratch, self._check
        if scratch is None:
            raise self._no_scratch
        check()
        self.lease.advance(0, 1, "fetching models")
        models = host.models.for_run(kind, job, check)
        self.lease.advance(0, 1, "fetching inputs")
        fetcher = Fetcher(host.settings, host.db, host.blobs, check, host.inputs, known=known)
        inputs = fetcher.fetch_all(job, kind, scratch / "inputs")
        read = {f.field.removeprefix("inputs."): f.sha256 for files in inputs.values() for f in files}
        self._provenance.input_sha256 = read
        fetch_checkpoints(host.blobs, job, scratch)
        gallery = gallery_of(host.galleries, job, kind, scratch, check)
        step, came_from = step_of(host, job, scratch, check)
        trained = model_of(host.db, job, kind, scratch)
        limits = (kind.time_limit_s, kind.memory_mb)
        return Ready(Task(kind.name, inputs, job.params, scratch, *limits, models, gallery, step, trained), came_from)

    def run(self, ready: Ready, look: Callable[[], None]) -> None:
        """Run the runner; ``look`` is called ten times a second meanwhile."""

        def stop_reason() -> Exception | None:
            look()
            return self.problem()

        watch = Watch(partial(self._tell, ready.task), stop_reason)
        limit = self.host.settings.max_result_bytes if self.job.parent_id is None else _PART_RESULT_BYTES
        result = _checked(self.host.child.run(ready.task, watch), limit)
        self._ran = _Ran(ready.task, ready.came_from, result)

    def give_up(self, ready: Future[Ready], reason: Exception) -> None:
        """The attempt will not run: it is called off, or handed back uncounted."""
        self._handed_back = True  # a fetch that goes on ends by this
        ready.cancel()
        self._closing.callback(lambda: None if ready.cancelled() else ready.exception())
        self.failed(reason)

    def failed(self, error: Exception) -> None:
        """Note what is to be recorded of an attempt that ended like this."""
        self._ending = self._ending_of(error)

    def stored(self) -> Success | Ending:
        """Store what the run made; what is to be recorded then."""
        if self._ran is None or self._ending is not None:
            return self._ending or self._ending_of(EngineFailed("The attempt did not run."))
        try:
            return self._stored(self._ran)
        except Exception as error:  # noqa: BLE001 - recorded as what it means for the job
            return self._ending_of(error)

    def close(self) -> None:
        """The end is on record, or another's: nothing of the attempt stays here."""
        self._closing.close()

    def _check(self) -> None:
        reason = self.problem()
        if reason is not None:
            raise reason

    def _stored(self, ran: _Ran) -> Success | Ending:
        job, task = self.job, ran.task
        artifacts = store_artifacts(self.host.blobs, job, task.root / "artifacts", self._check)
        came_from = merged(self._provenance, ran.came_from)
        also = self._effects(task, came_from)
        self._check()
        progress = self.lease.done().model_dump()
        made_by = came_from.model_dump()
        success = Success(job.id, job.token, ran.result, artifacts, made_by, progress)
        if also is None and job.parent_id is None and job.parts_total is None:
            return success

        def succeed() -> JobState:
            made: dict[str, Any] = {"result": ran.result, "artifacts": artifacts, "provenance": made_by}
            try:
                state = leases.succeed(self.host.db, job.id, job.token, **made, progress=progress, also=also)
            except InputError as error:  # of ``also``: nothing is recorded yet
                return leases.fail(self.host.db, job, error)
            tell_artifacts(self.host, job, artifacts)
            return state

        return succeed

    def _effects(self, task: Task, came_from: Provenance) -> Effect | None:
        """Store faces and a model that the run told; what is to be recorded of them with the success."""
        blobs, job, check = self.host.blobs, self.job, self._check
        faces = task.gallery.store(blobs, job, task.inputs, check) if task.gallery else None
        trained = task.trained.store(blobs, job, came_from, check) if task.trained else None
        effects = [effect for effect in (faces, trained) if effect is not None]

        def record(session: Session) -> None:
            for effect in effects:
                effect(session)

        return record if effects else None

    def _ending_of(self, error: Exception) -> Ending:
        db, job = self.host.db, self.job
        match error:
            case Split():
                return partial(split, self.host, job, self.kind, error.plan)
            case Cancelled():
                return partial(leases.cancelled, db, job.id, job.token)
            case Drained():
                return partial(leases.release, db, job)
            case SaccadeError():
                log.warning("%s: %s: %s", job.id, error.code, error.message)
                failure = error
            case OSError():
                log.error("%s: the worker's own disk", job.id, exc_info=error)
                failure = StorageFailed("The worker's own disk failed or is full.")
            case _:
                log.error("%s failed in the worker", job.id, exc_info=error)
                failure = EngineFailed("The worker failed in a way that is not known.")
        return partial(leases.fail, db, job, failure)

    def _tell(self, task: Task, message: dict[str, Any]) -> None:
        host, job = self.host, self.job
        match message.pop("type"):
            case "progress":
                progress = self.lease.advance(**message)
                if job.parent_id is None:  # else the lease tells how far all parts are
                    host.live.event(job.id, "progress", progress.model_dump())
            case "model":
                used = ModelUsed(**message)
                self._provenance.models += [] if used in self._provenance.models else [used]
            case "checkpoint":
                store_checkpoint(host.blobs, job, task.root, str(message["name"]), str(message["copy"]))
            case "face" if task.gallery is not None:
                task.gallery.enroll(message)
            case "trained" if task.trained is not None:
                task.trained.register(message)
            case "log" | "metric" as event:
                host.live.event(job.parent_id or job.id, event, message)
            case other:
                log.warning("the child said %r", other)


@cache
def _own_version() -> str:
    return version("saccade-worker")


def _checked(result: dict[str, Any], limit: int) -> dict[str, Any]:
    size = len(json.dumps(result))
    if size > limit:
        raise InputTooLarge(f"The result is {size} bytes of JSON; at most {limit} are kept.")
    return result


def _digest(params: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
