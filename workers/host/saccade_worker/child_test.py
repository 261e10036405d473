from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from saccade_core.errors import (
    Cancelled,
    EngineFailed,
    MemoryLimitExceeded,
    StorageFailed,
    TimeLimitExceeded,
    UnreadableInput,
    WorkerLost,
)
from saccade_core.kind import InputFile
from saccade_worker.child import Child, Drained, Task, Watch

pytestmark = pytest.mark.usefixtures("probe")


@pytest.fixture
def child() -> Generator[Child]:
    process = Child()
    yield process
    process.kill()


class Told:
    """What a run told, and a reason to stop it from ``when`` on."""

    def __init__(self, reason: Exception | None = None, when: Callable[[], bool] = lambda: True) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked_at: float | None = None
        self._reason, self._when = reason, when

    def watch(self) -> Watch:
        return Watch(self.messages.append, self._stop_reason)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def _stop_reason(self) -> Exception | None:
        if self._reason is None or not self._when():
            return None
        self.asked_at = self.asked_at or time.monotonic()
        return self._reason


def _task(root: Path, limit_s: float = 60.0, memory_mb: int = 700, **params: Any) -> Task:
    (root / "artifacts").mkdir(parents=True, exist_ok=True)
    return Task("probe", {}, params, root, limit_s, memory_mb)


def _gone(pid: int) -> bool:
    """Whether the process has ended, which may take the kernel a moment."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def _works(child: Child, root: Path) -> bool:
    return child.run(_task(root, text="next"), Told().watch())["text"] == "next"


def test_a_run_tells_and_gives_its_result(child: Child, tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "in.txt").write_text(" and a file")
    file = InputFile(tmp_path / "in.txt", "in.txt", "text/plain", "inputs.file")
    task = Task("probe", {"file": [file]}, {"text": "hello"}, tmp_path, 60, 700)
    assert child.run(task, told.watch()) == {"text": "hello and a file", "resumed_at": 0}
    assert (tmp_path / "artifacts" / "echo.txt").read_text() == "hello"
    assert [m["message"] for m in told.of("log")] == ["echo hello"]
    assert told.of("metric") == [{"type": "metric", "name": "length", "value": 5.0, "step": 1}]
    assert told.of("model") == [{"type": "model", "name": "probe", "version": "1", "sha256": ""}]


def test_one_process_runs_one_job_after_another(child: Child, tmp_path: Path) -> None:
    child.start()
    pid = child.pid
    assert _works(child, tmp_path)
    assert _works(child, tmp_path)
    assert child.pid == pid is not None


def test_progress_is_told(child: Child, tmp_path: Path) -> None:
    told = Told()
    child.run(_task(tmp_path, mode="sleep", seconds=0.6, steps=3), told.watch())
    assert [(m["done"], m["total"], m["stage"]) for m in told.of("progress")] == [
        (0, 3, "sleeping"),
        (1, 3, "sleeping"),
        (2, 3, "sleeping"),
    ]


def test_the_runners_own_error_comes_back(child: Child, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="It was told to fail") as caught:
        child.run(_task(tmp_path, mode="fail"), Told().watch())
    assert caught.value.field == "inputs.file"
    assert _works(child, tmp_path)


def test_an_unknown_error_shows_no_path(child: Child, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed) as caught:
        child.run(_task(tmp_path, mode="fail_once", effects=str(tmp_path / "missing" / "effects")), Told().watch())
    assert str(tmp_path) not in caught.value.message
    assert "FileNotFoundError" in caught.value.message


@pytest.mark.parametrize("mode", ["hang", "chatter"])
def test_a_run_over_its_time_is_ended(child: Child, tmp_path: Path, mode: str) -> None:
    with pytest.raises(TimeLimitExceeded):
        child.run(_task(tmp_path, limit_s=1.0, mode=mode, seconds=60), Told().watch())
    assert child.pid is None
    assert _works(child, tmp_path)


@pytest.mark.parametrize("mode", ["hang", "sleep", "chatter"])
def test_a_cancelled_run_is_ended_within_two_seconds(child: Child, tmp_path: Path, mode: str) -> None:
    child.start()
    assert _works(child, tmp_path)
    begin = time.monotonic()
    told = Told(Cancelled("stop"), lambda: time.monotonic() - begin > 0.5)
    with pytest.raises(Cancelled):
        child.run(_task(tmp_path, mode=mode, seconds=60, steps=600), told.watch())
    assert told.asked_at is not None
    assert time.monotonic() - told.asked_at < 2.0  # promised by the API
    assert _works(child, tmp_path)


def test_a_runner_that_looks_keeps_its_process_through_a_cancel(child: Child, tmp_path: Path) -> None:
    child.start()
    pid = child.pid
    told = Told(Cancelled("stop"), lambda: bool(told.of("progress")))
    with pytest.raises(Cancelled):
        child.run(_task(tmp_path, mode="sleep", seconds=60, steps=600), told.watch())
    assert child.pid == pid
    assert _works(child, tmp_path)


def test_a_result_that_comes_while_draining_counts(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saccade_worker.child.CANCEL_GRACE_S", 30.0)
    told = Told(Drained())
    task = _task(tmp_path, mode="hang", seconds=1, text="done")
    assert child.run(task, told.watch())["text"] == "done"
    assert told.asked_at is not None


def test_too_much_memory_ends_the_run(child: Child, tmp_path: Path) -> None:
    with pytest.raises(MemoryLimitExceeded):
        child.run(_task(tmp_path, memory_mb=400, mode="eat_memory"), Told().watch())
    assert child.pid is None
    assert _works(child, tmp_path)


@pytest.mark.parametrize("mode", ["crash", "leave_a_fork"])
def test_a_process_that_dies_is_replaced(child: Child, tmp_path: Path, mode: str) -> None:
    with pytest.raises(WorkerLost):
        child.run(_task(tmp_path, limit_s=20.0, mode=mode), Told().watch())
    assert _works(child, tmp_path)


def test_an_idle_process_that_died_is_replaced(child: Child, tmp_path: Path) -> None:
    child.start()
    assert child.pid is not None
    pid = child.pid
    os.kill(pid, signal.SIGKILL)
    assert _gone(pid)
    assert _works(child, tmp_path)


def test_a_process_that_keeps_much_memory_is_renewed(tmp_path: Path) -> None:
    child = Child(idle_memory_mb=1)
    try:
        child.start()
        pid = child.pid
        assert _works(child, tmp_path)
        assert child.pid not in (pid, None)
    finally:
        child.kill()


def test_what_a_runner_started_ends_with_it(child: Child, tmp_path: Path) -> None:
    effects = tmp_path / "effects"
    with pytest.raises(TimeLimitExceeded):
        child.run(_task(tmp_path, limit_s=2.0, mode="spawn", effects=str(effects)), Told().watch())
    assert _gone(int(effects.read_text().split()[-1]))


def test_the_process_sees_no_secret(child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACCADE_DATABASE_URL", "postgresql://user:hidden@host/name")
    monkeypatch.setenv("SACCADE_S3_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("SACCADE_CONFIG", "hidden.toml")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("PGPASSWORD", "hidden")
    text = child.run(_task(tmp_path, mode="environment"), Told().watch())["text"]
    seen = json.loads(text)
    assert "hidden" not in text
    assert seen["OMP_THREAD_LIMIT"] == "1"
    assert seen["PYTHONPATH"]


def test_the_process_sees_what_it_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICENCE_OF_A_PLUGIN", "seen")
    child = Child(passed=["LICENCE_OF_A_PLUGIN"])
    try:
        text = child.run(_task(tmp_path, mode="environment"), Told().watch())["text"]
    finally:
        child.kill()
    assert json.loads(text)["LICENCE_OF_A_PLUGIN"] == "seen"


def test_each_training_run_has_a_process_of_its_own_and_every_core(tmp_path: Path) -> None:
    child = Child(trains=True)
    try:
        seen = [json.loads(child.run(_task(tmp_path, mode="environment"), Told().watch())["text"])]
        first = child.pid
        child.run(_task(tmp_path, effects=str(tmp_path / "pids"), text="a"), Told().watch())
        child.run(_task(tmp_path, effects=str(tmp_path / "pids"), text="b"), Told().watch())
    finally:
        child.kill()
    assert first is None
    assert not {"OMP_NUM_THREADS", "OMP_THREAD_LIMIT"} & (seen[0].keys() - os.environ.keys())
    pids = [line.split()[1] for line in (tmp_path / "pids").read_text().splitlines()]
    assert len(set(pids)) == 2


def test_a_run_that_ended_badly_here_never_answers_for_the_next(child: Child, tmp_path: Path) -> None:
    """The worker's own failure between two messages must not leave the first job running in the child."""

    def broken(message: dict[str, Any]) -> None:
        raise StorageFailed(f"no room for {message['type']}")

    first = _task(tmp_path / "first", mode="sleep", seconds=0.5, steps=5, text="SECRET of another project")
    with pytest.raises(StorageFailed):
        child.run(first, Watch(broken, lambda: None))
    second = child.run(_task(tmp_path / "second", text="mine"), Told().watch())
    assert second["text"] == "mine"


def test_the_process_ends_with_a_killed_worker() -> None:
    code = "from saccade_worker.child import Child; c = Child(); c.start(); print(c.pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        assert psutil.pid_exists(pid)
        worker.kill()
    assert _gone(pid)
