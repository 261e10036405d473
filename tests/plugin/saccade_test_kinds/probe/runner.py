"""Behaves as told."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from saccade_core.errors import EngineFailed, UnreadableInput
from saccade_core.kind import Context, Inputs
from saccade_test_kinds.probe.contract import ProbeParams, ProbeResult


def run(inputs: Inputs, params: ProbeParams, context: Context) -> ProbeResult:
    """Sleep in steps, hang in native code, eat memory, die, fail, or count checkpoints; then echo."""
    if params.effects:
        with Path(params.effects).open("a") as stream:
            stream.write(f"{params.text} {os.getpid()}\n")
    resumed_at = _sleep(params, context) if params.mode in ("sleep", "checkpoints") else 0
    _misbehave(params)
    if params.mode == "chatter":
        _chatter(params.seconds, context)
    if params.mode == "environment":
        return ProbeResult(text=json.dumps(dict(os.environ)))
    context.log(f"echo {params.text}")
    context.metric("length", float(len(params.text)), 1)
    context.uses_model("probe", "1")
    context.artifact("echo.txt").write_text(params.text)
    file = inputs.optional("file")
    return ProbeResult(text=params.text + (file.path.read_text() if file else ""), resumed_at=resumed_at)


def _sleep(params: ProbeParams, context: Context) -> int:
    first = len(list(context.checkpoints.iterdir())) if params.mode == "checkpoints" else 0
    for step in range(first, params.steps):
        context.progress(step, params.steps, "sleeping")
        time.sleep(params.seconds / params.steps)
        if params.mode == "checkpoints":
            (context.checkpoints / f"{step:04d}").write_text("done")
            context.save_checkpoint(f"{step:04d}")
    return first


def _misbehave(params: ProbeParams) -> None:
    match params.mode:
        case "hang":
            ctypes.CDLL(None).sleep(int(params.seconds))  # native code that looks at nothing
        case "eat_memory":
            _eat_memory()
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave_a_fork":
            _leave_a_fork()
        case "spawn":
            _spawn(Path(params.effects))
        case "fail":
            raise UnreadableInput("It was told to fail.", field="inputs.file")
        case "fail_once":
            _fail_once(Path(params.effects + ".failed"))
        case _:
            pass


def _eat_memory() -> None:
    eaten = bytearray()
    while len(eaten) < 8 << 30:
        eaten += b"x" * (32 << 20)
        time.sleep(0.05)


def _leave_a_fork() -> None:
    """Die, and leave a process that keeps the pipe to the worker open."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def _spawn(effects: Path) -> None:
    """Hang in an outside program of a session of its own, whose id is the file's last line."""
    program = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with effects.open("a") as stream:
        stream.write(f"{program.pid}\n")
    program.wait()


def _chatter(seconds: float, context: Context) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        context.log("and so on")
        time.sleep(0.01)


def _fail_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        raise EngineFailed("It was told to fail once.")
