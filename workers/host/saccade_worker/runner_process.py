"""The child process that runs runners: engines stay loaded in it, and it can be killed without harm.

It knows the scratch folder and nothing else: no database, no object store, no queue, and none of their secrets
are in its environment. It speaks JSON over one pipe with the worker that started it (child.py): ``run`` and
``cancel`` come in; ``progress``, ``log``, ``metric``, ``model``, ``checkpoint``, ``face``, ``trained`` and at the end
``result`` or ``error`` go out. JSON, because a pickle from a process that reads hostile files would be trusted too
much.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from saccade_core.errors import Cancelled, EngineFailed, InvalidParams, ModelMissing, SaccadeError, WorkerLost
from saccade_core.kind import (
    ARTIFACT_NAME,
    EnrolledFace,
    GalleryFiles,
    InputFile,
    Inputs,
    Kind,
    ModelFiles,
    Params,
    Result,
)
from saccade_core.parts import Plan
from saccade_core.trained import TrainedModel, TrainedRef
from saccade_kinds import registry
from saccade_worker.gallery_messages import read_gallery, tell_face
from saccade_worker.model_messages import tell_model
from saccade_worker.steps import Step, read_step, tell_plan

log = logging.getLogger("saccade.runner")

_PR_SET_PDEATHSIG = 1
_PROGRESS_EVERY_S = 0.1


class Orphaned(BaseException):
    """The worker that started this process is gone."""


@dataclass
class PipeContext:
    """A runner's context (saccade_core.kind.Context) that tells everything to the worker over the pipe."""

    pipe: Connection
    root: Path
    device: str
    models: Mapping[str, ModelFiles]
    gallery_message: dict[str, Any] | None
    registers_as: TrainedRef | None = None
    _told_at: float = field(default=0.0, init=False)
    _stage: str = field(default="", init=False)
    _copies: int = field(default=0, init=False)

    @property
    def scratch(self) -> Path:
        return _folder(self.root / "scratch")

    @property
    def checkpoints(self) -> Path:
        return _folder(self.root / "checkpoints")

    def progress(self, done: float, total: float, stage: str) -> None:
        now = time.monotonic()
        if stage != self._stage or done >= total or now - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at, self._stage = now, stage
            self.tell("progress", done=done, total=total, stage=stage)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        try:
            waiting = self.pipe.poll()
            message: dict[str, Any] = json.loads(self.pipe.recv_bytes()) if waiting else {}
        except (EOFError, OSError):
            raise Orphaned from None
        if message.get("type") == "cancel":
            raise Cancelled("The job was cancelled.")

    def artifact(self, name: str) -> Path:
        if not ARTIFACT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for an artefact.")
        path = self.root / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def model(self, name: str) -> ModelFiles:
        found = self.models.get(name)
        if found is None:
            raise ModelMissing(f"This kind of job did not declare that it needs the model {name!r}.", received=name)
        self.uses_model(found.name, found.version, found.sha256)
        return found

    def gallery(self) -> GalleryFiles:
        if self.gallery_message is None:
            raise EngineFailed("This kind of job names no gallery.")
        return read_gallery(self.gallery_message)

    def enroll(self, face: EnrolledFace) -> None:
        if self.gallery_message is None:
            raise EngineFailed("This kind of job names no gallery.")
        self.tell("face", **tell_face(face, self.root))

    @property
    def registers(self) -> TrainedRef:
        if self.registers_as is None:
            raise EngineFailed("This kind of job registers no model.")
        return self.registers_as

    def register(self, model: TrainedModel) -> None:
        if self.registers_as is None:
            raise EngineFailed("This kind of job registers no model.")
        self.tell("trained", **tell_model(model, self.root))

    def uses_model(self, name: str, version: str, sha256: str = "") -> None:
        self.tell("model", name=name, version=version, sha256=sha256)

    def log(self, message: str) -> None:
        self.tell("log", message=message)

    def metric(self, name: str, value: float, step: int) -> None:
        self.tell("metric", name=name, value=value, step=step)

    def save_checkpoint(self, name: str) -> None:
        self._copies += 1
        copy = _folder(self.root / "kept") / str(self._copies)
        shutil.copyfile(self.checkpoints / name, copy)  # the runner may write the next one before this is stored
        self.tell("checkpoint", name=name, copy=copy.relative_to(self.root).as_posix())

    def tell(self, kind: str, **data: Any) -> None:
        try:
            self.pipe.send_bytes(json.dumps({"type": kind, **data}).encode())
        except OSError:
            raise Orphaned from None


def serve(pipe: Connection) -> None:
    """Run what comes in, one job at a time, until the pipe closes."""
    while True:
        try:
            request: dict[str, Any] = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        if request["type"] == "run":  # a cancel that came after the end of its job is nobody's
            _run_one(pipe, request)


def _run_one(pipe: Connection, request: dict[str, Any]) -> None:
    models = {name: _model(item) for name, item in request["models"].items()}
    registers = TrainedRef(**request["registers"]) if request["registers"] else None
    context = PipeContext(pipe, Path(request["root"]), request["device"], models, request["gallery"], registers)
    try:
        kind = registry.get(request["kind"])
        params = registry.validate_params(kind, request["params"])
        files = {name: [_input_file(item) for item in items] for name, items in request["inputs"].items()}
        _answer(kind, Inputs(files), params, context, read_step(request["step"]))
    except SaccadeError as error:
        context.tell("error", **describe(error))
    except ValidationError as error:
        context.tell("error", **describe(InvalidParams(f"The parameters do not fit this version: {error.errors()[0]}")))
    except MemoryError:
        context.tell("error", **describe(EngineFailed("The runner ran out of memory.")))
        sys.exit(1)  # what else failed to allocate is unknown
    except Exception as error:
        log.exception("runner of %s failed", request["kind"])
        message = f"The {request['kind']} runner failed in a way that is not known: {type(error).__name__}."
        context.tell("error", **describe(EngineFailed(message)))


def _answer(kind: Kind, inputs: Inputs, params: Params, context: PipeContext, step: Step) -> None:
    """Do one step of the job and tell what came of it."""
    if not kind.parts:
        result = registry.load_runner(kind.name)(inputs, params, context)
        context.tell("result", result=result.model_dump(mode="json"))
        return
    runner = registry.load_parts_runner(kind.name)
    match step.name:
        case "run_part" if step.part is not None:
            context.tell("result", result=dict(runner.run_part(inputs, params, context, step.part)))
        case "join":
            _tell_made(context, runner.join(inputs, params, context, step.parts))
        case _:
            planned = runner.plan(inputs, params, context)
            plan = planned if isinstance(planned, Plan) else Plan(planned)
            _tell_made(context, plan if plan.parts else runner.run(inputs, params, context))


def _tell_made(context: PipeContext, made: Result | Plan) -> None:
    if isinstance(made, Plan):
        context.tell("parts", plan=tell_plan(made))
    else:
        context.tell("result", result=made.model_dump(mode="json"))


def _input_file(item: dict[str, str]) -> InputFile:
    return InputFile(Path(item["path"]), item["name"], item["media_type"], item["field"], item["sha256"])


def model_to_json(model: ModelFiles) -> dict[str, Any]:
    """A model for the pipe; ``_model`` is its inverse."""
    files = {role: str(path) for role, path in model.files.items()}
    facts = dict(model.facts)
    return {"name": model.name, "version": model.version, "sha256": model.sha256, "files": files, "facts": facts}


def _model(item: dict[str, Any]) -> ModelFiles:
    files = {role: Path(path) for role, path in item["files"].items()}
    return ModelFiles(item["name"], item["version"], item["sha256"], files, item["facts"])


def describe(error: SaccadeError) -> dict[str, Any]:
    """An error for the pipe; ``rebuild`` is its inverse."""
    return {"class": type(error).__name__, "message": error.message, "field": error.field}


def rebuild(data: dict[str, Any]) -> SaccadeError:
    """The error that ``describe`` described."""
    known = {cls.__name__: cls for cls in _subclasses(SaccadeError)}
    cls = known.get(str(data.get("class")), WorkerLost)
    return cls(str(data.get("message", "")), field=data.get("field"))


def _subclasses(cls: type[SaccadeError]) -> set[type[SaccadeError]]:
    return {cls}.union(*(_subclasses(sub) for sub in cls.__subclasses__()))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def main() -> None:
    """Entry point: ``python -m saccade_worker.runner_process PIPE_FD PARENT_PID``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # the worker died before the line above
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which decides
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # the kernel ends this one first
    try:
        serve(Connection(fd))
    except Orphaned:
        return


if __name__ == "__main__":
    main()
