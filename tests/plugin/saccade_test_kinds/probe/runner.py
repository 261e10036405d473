"""Behaves as told."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saccade_core.errors import EngineFailed, UnreadableInput
from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part, Plan
from saccade_test_kinds.probe.contract import ProbeParams, ProbeResult


def run(inputs: Inputs, params: ProbeParams, context: Context) -> ProbeResult:
    """Sleep in steps, hang in native code, eat memory, die, fail, or count checkpoints; then echo."""
    _note(params.effects, params.text)
    resumed_at = _sleep(params, context)
    _misbehave(params)
    if params.mode == "chatter":
        _chatter(params.seconds, context)
    if params.mode == "environment":
        return ProbeResult(text=json.dumps(dict(os.environ)))
    if params.mode == "models":  # the text names the one that it uses
        return ProbeResult(text=context.model(params.text).path.read_bytes().hex())
    context.log(f"echo {params.text}")
    context.metric("length", float(len(params.text)), 1)
    context.uses_model("probe", "1")
    context.artifact("echo.txt").write_text(params.text)
    file = inputs.optional("file")
    return ProbeResult(text=params.text + (file.path.read_text() if file else ""), resumed_at=resumed_at)


def plan(inputs: Inputs, params: ProbeParams, context: Context) -> Plan:
    """As many parts as asked for, the later ones heavier; ``mode`` is for them."""
    if params.parts:
        _note(params.effects, params.text)
        context.uses_model("planner", "1")
    return _planned(params, 0)


def run_part(inputs: Inputs, params: ProbeParams, context: Context, part: Part) -> dict[str, Any]:
    """Behave as told, then write ``part.txt``."""
    _note(params.effects and f"{params.effects}.parts", str(part.index))
    if params.bad_part in {-1, part.index}:
        _sleep(params, context)
        _misbehave(params)
    file = inputs.optional("file")
    context.uses_model("probe", "1")
    context.artifact("part.txt").write_text(part.spec["word"] + (file.path.read_text() if file else ""))
    context.log(f"part {part.index}")
    return {"length": len(part.spec["word"])}


def join(inputs: Inputs, params: ProbeParams, context: Context, parts: Sequence[DonePart]) -> ProbeResult | Plan:
    """What the parts wrote, or why they failed, a line each; ``echo.txt`` has the text and the result the lines."""
    _note(params.effects, params.text)
    context.progress(1, 2, "joining")
    done_rounds = len(parts) // params.parts
    if params.bad_join == done_rounds:
        _die_once(Path(f"{params.effects}.died"))
    if done_rounds < params.rounds:
        return _planned(params, len(parts))
    lines = [part.error["code"] if part.error else (part.folder / "part.txt").read_text() for part in parts]
    went_well = [part for part in parts if part.error is None]
    assert [part.result["length"] for part in went_well] == [len(part.part.spec["word"]) for part in went_well]
    context.uses_model("joiner", "1")
    context.artifact("echo.txt").write_text(params.text)
    return ProbeResult(text="\n".join(lines))


def _planned(params: ProbeParams, first: int) -> Plan:
    indices = range(first, first + params.parts)
    parts = [Part(i, {"word": f"{params.text} {i}"}, 1.0 + i % params.parts, may_fail=params.may_fail) for i in indices]
    return Plan(parts, params.parts * params.rounds)


def _die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _note(effects: str, line: str) -> None:
    if effects:
        with Path(effects).open("a") as stream:
            stream.write(f"{line} {os.getpid()}\n")


def _sleep(params: ProbeParams, context: Context) -> int:
    if params.mode not in {"sleep", "checkpoints"}:
        return 0
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
