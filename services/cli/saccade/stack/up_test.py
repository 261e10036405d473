"""``saccade up`` with all its real processes."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from saccade_core.jobs import JobState
from saccade_kinds import registry
from servers.stack import Stack, StartStack, eventually

pytestmark = pytest.mark.stack

NAMES = {"redis", "gateway", "keeper", "cpu-1", "cpu-2"}
#: Of the stack that all tests share.
ALL_NAMES = NAMES | {"torch-1", "torch-train-1", "keras-1", "keras-train-1", "model-server"}


def run_a_job(stack: Stack) -> JobState:
    """The end of a small job."""
    sample = registry.sample("edit_image")
    inputs = {name: stack.client.upload(files[0]).id for name, files in sample.files.items()}
    job = stack.client.submit("edit_image", inputs, sample.params)
    return stack.client.wait(job.id, timeout_s=120).state


def test_everything_runs_and_the_data_is_private(stack: Stack) -> None:
    assert set(stack.pids()) == ALL_NAMES
    assert stack.state.url == stack.url
    assert stack.client.ready()
    assert run_a_job(stack) is JobState.SUCCEEDED
    for path in (stack.data_dir, stack.data_dir / "saccade.db", stack.data_dir / "logs", stack.data_dir / "blobs"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_stack_over_the_same_data_is_refused(stack: Stack) -> None:
    done = subprocess.run(stack.command(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"A stack already runs over {stack.data_dir} at {stack.url}" in done.stderr
    assert "--data-dir" in done.stderr
    assert set(stack.pids()) == ALL_NAMES


def test_a_port_in_use_is_refused(stack: Stack, tmp_path: object) -> None:
    command = [*stack.command(), "--data-dir", f"{tmp_path}/data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {stack.port}" in done.stderr
    assert "--port" in done.stderr


def test_what_is_killed_comes_back_and_works_again(start_stack: StartStack) -> None:
    stack = start_stack()
    for name in sorted(NAMES):
        killed = stack.kill(name)
        eventually(lambda n=name, pid=killed: stack.pids().get(n, pid) != pid, what=f"a new {name}")
    assert run_a_job(stack) is JobState.SUCCEEDED
    assert stack.stop() == 0
    assert stack.members() == []
    assert not (stack.data_dir / "stack.json").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP])
def test_it_stops_cleanly_and_starts_again_over_its_data(start_stack: StartStack, how: signal.Signals) -> None:
    stack = start_stack(workers="cpu=1")
    job = run_a_job(stack)
    assert stack.stop(how) == 0
    assert stack.members() == []
    stack.start()
    assert [found.state for found in stack.client.jobs()] == [job]


def test_a_killed_supervisor_leaves_nothing(start_stack: StartStack) -> None:
    stack = start_stack()
    assert run_a_job(stack) is JobState.SUCCEEDED  # the workers' children run as well
    assert len(stack.members()) > len(NAMES)
    os.kill(stack.process.pid, signal.SIGKILL)
    stack.process.wait()
    eventually(lambda: stack.members() == [], within_s=10, what="the end of every process")
    stack.start()  # neither the lock nor the file of the dead stack is in the way
    assert set(stack.pids()) == NAMES
