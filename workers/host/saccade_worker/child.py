"""The worker's side of its child process: start it, run a job in it, end it when a limit is crossed."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from saccade_core.errors import MemoryLimitExceeded, SaccadeError, TimeLimitExceeded, WorkerLost
from saccade_core.kind import InputFile, ModelFiles
from saccade_worker.job_gallery import JobGallery
from saccade_worker.job_model import JobModel
from saccade_worker.runner_process import model_to_json, rebuild
from saccade_worker.steps import Split, Step, read_plan

log = logging.getLogger(__name__)

#: A runner that was told to stop and does not within this time is in native code, and is killed.
CANCEL_GRACE_S = 1.0
_TICK_S = 0.1
_MEMORY_EVERY_S = 0.5
_LOOK_EVERY_S = 5.0
#: One thread per process is the fastest on the CPU, side by side (docs/decisions/0004-one-thread-per-process.md).
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS"), "1")
#: The child reads hostile files and needs no secret: of the worker's environment it sees these, and nothing else.
_PASSED = re.compile(
    r"PATH|HOME|USER|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w+|XDG_CACHE_HOME|TESSDATA_PREFIX"
    r"|CUDA_\w+|NVIDIA_\w+|SACCADE_ASSETS_MIRROR|SACCADE_CACHE_DIR|SACCADE_PAGE_PARALLEL|SACCADE_SERVING_URL"
)
_LAST_WORDS = ("result", "parts", "error")


class Drained(Exception):
    """The worker stops, and the job did not end in the time it was given."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the child runs: a kind on local files in ``root``, within limits, with the weights and gallery it needs."""

    kind: str
    inputs: dict[str, list[InputFile]]
    params: dict[str, Any]
    root: Path
    time_limit_s: float
    memory_mb: int
    models: Mapping[str, ModelFiles] = field(default_factory=dict[str, ModelFiles])
    gallery: JobGallery | None = None
    step: Step = field(default_factory=Step)
    trained: JobModel | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """How a run looks outside: ``tell`` takes the child's messages; the others are asked ten times a second."""

    tell: Callable[[dict[str, Any]], None]
    stop_reason: Callable[[], Exception | None]


class Child:
    """A process that runs runners. It is started when needed and replaced when it dies or is killed."""

    def __init__(
        self, device: str = "cpu", idle_memory_mb: int = 3072, passed: Collection[str] = (), *, trains: bool = False
    ) -> None:
        """``passed`` names further variables of the environment that the process may see. One that ``trains`` is new
        for each run, and may use every core."""
        self._trains = trains
        self._device = device
        self._passed = passed
        self._idle_memory_mb = idle_memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._busy = False
        self._look_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process unless it lives."""
        if self.pid is not None:
            return
        self.kill()
        ours, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "saccade_worker.runner_process", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env=_child_environment(self._passed, one_thread=not self._trains),
            start_new_session=True,
        )
        theirs.close()
        self._pipe = ours

    def run(self, task: Task, watch: Watch) -> dict[str, Any]:
        """The runner's result as JSON. Raises Split where it planned parts; the runner's error; what ``stop_reason``
        gives; TimeLimitExceeded, MemoryLimitExceeded; WorkerLost when the process died."""
        self.start()
        self._busy = True
        try:
            self._send({"type": "run", "kind": task.kind, "params": task.params, **_request(task, self._device)})
            return self._follow(task, watch)
        finally:
            if self._busy or self._trains:  # what it answers of this job must never be taken for another's
                self.kill()
            self._renew_if_fat()

    def kill(self) -> None:
        """End the process and every process it started."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if process is None:
            return
        family: list[psutil.Process] = []
        with suppress(psutil.Error):
            family = psutil.Process(process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for member in family:
            with suppress(psutil.Error):
                member.kill()
        process.wait()

    def _follow(self, task: Task, watch: Watch) -> dict[str, Any]:
        started = time.monotonic()
        next_memory = started + _MEMORY_EVERY_S
        while True:
            message = self._receive() or {"type": ""}
            if message["type"] == "result":
                return message["result"]
            if message["type"] == "parts":
                raise Split(read_plan(message.get("plan"), task.step))
            if message["type"] == "error":
                raise rebuild(message)
            if message["type"]:
                watch.tell(message)
            now = time.monotonic()
            if now - started > task.time_limit_s:
                self.kill()
                raise TimeLimitExceeded(f"The run took longer than {task.time_limit_s:.0f} s, its limit.")
            if now >= next_memory:
                next_memory = now + _MEMORY_EVERY_S
                self._check_memory(task.memory_mb)
            reason = watch.stop_reason()
            if reason is not None:
                return self._stop(reason)

    def _stop(self, reason: Exception) -> dict[str, Any]:
        """Ask the runner to stop, kill it if it does not; a result that comes meanwhile still counts."""
        with suppress(WorkerLost):
            self._send({"type": "cancel"})
            give_up = time.monotonic() + CANCEL_GRACE_S
            while time.monotonic() < give_up:
                message = self._receive() or {"type": ""}
                if message["type"] == "result":
                    return message["result"]
                if message["type"] in ("parts", "error"):
                    raise reason
        self.kill()
        raise reason

    def _send(self, message: dict[str, Any]) -> None:
        try:
            assert self._pipe is not None  # noqa: S101 - start() made it
            self._pipe.send_bytes(json.dumps(message).encode())
        except OSError:
            raise self._lost() from None

    def _receive(self) -> dict[str, Any] | None:
        try:
            assert self._pipe is not None  # noqa: S101 - start() made it
            if self._pipe.poll(_TICK_S):
                message: dict[str, Any] = json.loads(self._pipe.recv_bytes())
                self._busy = message["type"] not in _LAST_WORDS
                return message
        except (EOFError, OSError, ValueError, LookupError, TypeError):
            raise self._lost() from None
        if self.pid is None and not self._pipe.poll():  # a process that it forked may hold the pipe open
            raise self._lost()
        return None

    def _lost(self) -> SaccadeError:
        code = self._process.wait() if self._process else None
        self.kill()
        log.warning("the child process died with status %s", code)
        return WorkerLost("The process that ran the job died.")

    def _memory_mb(self) -> float:
        """Resident memory of the child and all it started, in MiB; 0 where it is gone."""
        try:
            me = psutil.Process(self.pid)
            return sum(p.memory_info().rss for p in [me, *me.children(recursive=True)]) / 2**20
        except (psutil.Error, TypeError):
            return 0.0

    def _check_memory(self, limit_mb: int) -> None:
        used = self._memory_mb()
        if used > limit_mb:
            self.kill()
            raise MemoryLimitExceeded(f"The run used {used:.0f} MiB; its limit is {limit_mb} MiB.")

    def _renew_if_fat(self) -> None:
        if time.monotonic() < self._look_at or self.pid is None:
            return
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        if self._memory_mb() > self._idle_memory_mb:
            log.info("the child keeps too much memory and is renewed")
            self.kill()
            self.start()


def _request(task: Task, device: str) -> dict[str, Any]:
    files = {
        name: [
            {"path": str(f.path), "name": f.name, "media_type": f.media_type, "field": f.field, "sha256": f.sha256}
            for f in items
        ]
        for name, items in task.inputs.items()
    }
    models = {name: model_to_json(model) for name, model in task.models.items()}
    gallery = task.gallery.snapshot.message() if task.gallery else None
    given = {"inputs": files, "models": models, "gallery": gallery, "step": task.step.message()}
    given["registers"] = task.trained.ref.model_dump() if task.trained else None
    return {"root": str(task.root), "device": device, **given}


def _child_environment(passed: Collection[str], *, one_thread: bool) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if _PASSED.fullmatch(k) or k in passed}
    return {**kept, **_ONE_THREAD} if one_thread else kept
