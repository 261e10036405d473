"""Memory of each process: of the idle stack, and of the workers once every kind of job has run in them."""

from __future__ import annotations

from pathlib import Path

import psutil

from benchmarks.report import table
from saccade_kinds import registry
from servers.stack import Stack


def section(stack: Stack) -> str:
    """The idle stack's processes, and the workers' children after the samples of all kinds."""
    idle = _rows(stack)
    for number in range(2):
        for kind in registry.kinds():
            _run_sample(stack, kind, number)
    after = [[f"{name}, after all kinds", size] for name, size in _rows(stack) if name.startswith("saccade_worker")]
    note = "A worker is two processes: one that claims and stores, and its child, which runs the jobs."
    return table("Memory", ["process", "MiB (unique set size)"], [*idle, *after], note)


def _rows(stack: Stack) -> list[list[str]]:
    supervisor = psutil.Process(stack.process.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    return [[_short(p.cmdline()), f"{p.memory_full_info().uss / 2**20:.0f}"] for p in processes]


def _short(command: list[str]) -> str:
    """The module that runs, or the program."""
    if "-m" in command:
        module = command[command.index("-m") + 1]
        return f"{module} up" if module == "saccade" else module
    return Path(command[0].split()[0]).name


def _run_sample(stack: Stack, kind: str, number: int) -> None:
    """The kind's sample, with what must run before it; two at once, so that both workers have something to do."""
    sample = registry.sample(kind)
    for before in sample.before:
        _finished(stack, before, number)
    _finished(stack, sample, number)


def _finished(stack: Stack, sample: registry.Sample, number: int) -> None:
    declared = registry.get(sample.kind).inputs
    sent = {n: [stack.client.upload(f).id for f in files] for n, files in sample.files.items()}
    inputs = {name: ids if declared[name].many else ids[0] for name, ids in sent.items()}
    labels = {"turn": str(number)}
    jobs = [stack.client.submit(sample.kind, inputs, sample.params, labels=labels) for _ in range(2)]
    for job in jobs:
        stack.client.wait(job.id, timeout_s=120)
