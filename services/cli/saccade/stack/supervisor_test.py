"""The supervisor over real, small processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import psutil
import pytest

from saccade.stack.processes import LOG_LIMIT_BYTES, Backoff

_SCRIPT = """
import json, os, sys
from pathlib import Path
from saccade.stack.config import Program
from saccade.stack.supervisor import Signals, Supervisor
programs = [Program(env=os.environ, **p) for p in json.loads(sys.argv[1])]
with Signals() as signals:
    say = lambda line: print(line, flush=True)
    changed = lambda pids: print("PIDS", json.dumps(pids), flush=True)
    Supervisor(programs, Path(sys.argv[2]), signals, say=say, changed=changed).run()
"""
_SLEEP = ["sleep", "1000"]
_LIMIT_S = 20.0


class Supervised:
    """A supervisor in a process of its own (it kills every stray child of its process), and what it says."""

    def __init__(self, folder: Path, programs: Sequence[dict[str, object]]) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, json.dumps(list(programs)), str(folder)], stdout=output, stderr=output
            )

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def pids(self) -> dict[str, int]:
        told = [line for line in self.lines if line.startswith("PIDS ")]
        return json.loads(told[-1].removeprefix("PIDS ")) if told else {}

    def wait_for_pids(self, count: int) -> dict[str, int]:
        until(lambda: len(self.pids()) == count)
        return self.pids()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(_LIMIT_S)


def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition; fail when it does not come."""
    limit = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def supervise(tmp_path: Path) -> Generator[Callable[..., Supervised]]:
    """Starts a supervisor over programs given as name=argv or name=dict of Program's fields."""
    started: list[Supervised] = []

    def start(**programs: list[str] | dict[str, object]) -> Supervised:
        listed = [{"name": n, **({"argv": p} if isinstance(p, list) else p)} for n, p in programs.items()]
        started.append(Supervised(tmp_path, listed))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_the_pause_doubles_and_begins_again_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.pause(1) for _ in range(8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
    assert backoff.pause(30) == pytest.approx(0.2)
    assert backoff.pause(1) == pytest.approx(0.4)


def test_what_is_killed_comes_back(supervise: Callable[..., Supervised]) -> None:
    stack = supervise(a=_SLEEP, b=_SLEEP)
    before = stack.wait_for_pids(2)
    os.kill(before["a"], signal.SIGKILL)
    until(lambda: stack.pids().get("a", before["a"]) != before["a"])
    assert stack.pids()["b"] == before["b"]
    assert stack.said("a was ended by SIGKILL, again in 0.2 s")
    assert stack.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in stack.pids().values())


def test_what_dies_at_once_is_tried_ever_more_slowly_and_its_last_words_are_told(
    supervise: Callable[..., Supervised],
) -> None:
    stack = supervise(a=["sh", "-c", "echo no such thing; exit 3"])
    until(lambda: stack.said("again in 0.8 s"))
    deaths = [line for line in stack.lines if "ended with status 3" in line]
    assert deaths[0] == "a ended with status 3, again in 0.2 s: no such thing"
    assert stack.stop() == 0


def test_processes_stop_in_order(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    def program(name: str, order: int) -> dict[str, object]:
        on_term = f"sleep 0.2; echo {name} >> {tmp_path}/order; exit 0"
        script = f"trap '{on_term}' TERM; echo up >> {tmp_path}/up; while :; do sleep 0.05; done"
        return {"argv": ["sh", "-c", script], "stop_order": order}

    stack = supervise(last=program("last", 3), first=program("first", 0), middle=program("middle", 1))
    until(lambda: (tmp_path / "up").exists() and len((tmp_path / "up").read_text().split()) == 3)
    assert stack.stop(signal.SIGINT) == 0
    assert (tmp_path / "order").read_text().split() == ["first", "middle", "last"]


def test_what_does_not_stop_is_killed_with_its_group(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; echo up > {tmp_path}/up; while :; do wait; done"
    stack = supervise(a={"argv": ["sh", "-c", script], "grace_s": 0.3})
    until((tmp_path / "up").exists)
    child = int((tmp_path / "child").read_text())
    assert stack.stop() == 0
    assert stack.said("a was ended by SIGKILL")
    assert not psutil.pid_exists(child)


def test_a_second_signal_ends_the_grace(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    script = f"trap 'echo asked > {tmp_path}/asked' TERM; echo up > {tmp_path}/up; while :; do sleep 0.05; done"
    stack = supervise(a={"argv": ["sh", "-c", script], "grace_s": 1000})
    until((tmp_path / "up").exists)
    stack.process.send_signal(signal.SIGHUP)
    until((tmp_path / "asked").exists)
    assert stack.stop() == 0


def test_orphans_of_a_dead_process_are_ended(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    script = f"setsid sleep 1000 & echo $! > {tmp_path}/child; wait"
    stack = supervise(a=["sh", "-c", script])
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip() != "")
    orphan = int((tmp_path / "child").read_text())
    os.kill(stack.wait_for_pids(1)["a"], signal.SIGKILL)
    until(lambda: not psutil.pid_exists(orphan))
    assert stack.stop() == 0


def test_what_the_supervising_process_runs_for_itself_is_no_orphan() -> None:
    script = """
import os, subprocess
from saccade.stack.processes import end_descendants, sweep_orphans
own, stray = subprocess.Popen(["sleep", "1000"]), subprocess.Popen(["sleep", "1000"], start_new_session=True)
sweep_orphans(set())
print(os.path.exists(f"/proc/{own.pid}"), os.path.exists(f"/proc/{stray.pid}"))
end_descendants()
print(os.path.exists(f"/proc/{own.pid}"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_a_log_that_grew_too_large_is_moved_aside_while_it_is_written(
    supervise: Callable[..., Supervised], tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    with log.open("wb") as file:
        file.write(b"first words")
        file.truncate(LOG_LIMIT_BYTES + 1)
    stack = supervise(a=["sh", "-c", "while :; do echo word; sleep 0.02; done"])
    before = tmp_path / "a.log.1"
    until(lambda: before.exists() and log.stat().st_size < LOG_LIMIT_BYTES and b"word" in log.read_bytes())
    assert set(log.read_text().splitlines()) == {"word"}
    assert before.stat().st_size > LOG_LIMIT_BYTES
    with before.open("rb") as file:
        assert file.read(11) == b"first words"
    assert stack.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in stack.pids().values())


def test_a_killed_supervisor_takes_its_processes_along(supervise: Callable[..., Supervised]) -> None:
    stack = supervise(a=_SLEEP, b=_SLEEP)
    pids = stack.wait_for_pids(2)
    stack.process.kill()
    stack.process.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()))
