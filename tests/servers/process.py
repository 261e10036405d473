"""Start, watch and end one server process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0


class MissingPackage(RuntimeError):
    """A server's program is not installed; tests fail then, they are never skipped."""


def program(name: str, package: str, *folders: Path) -> str:
    """Path of an installed program, looked up on PATH and in ``folders``."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingPackage(
            f"{name} is not installed: apt-get install {package} (deploy/packages-test.txt lists all that tests need)"
        )
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One child process, killed by the kernel when the thread that started it ends (``setpriv --pdeathsig``)."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        as_user = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        guard = [program("setpriv", "util-linux"), *as_user, "--pdeathsig", "KILL", "--"]
        self._command = [*guard, *command]
        self._folder = folder
        self._env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the process and do not wait."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for ``ready()``; the server's log is in the error when it does not get there."""
        limit = time.monotonic() + START_LIMIT_S
        while not ready():
            if self.process is None or self.process.poll() is not None or time.monotonic() > limit:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def start(self, ready: Callable[[], bool]) -> None:
        """Start the process and wait for ``ready()``."""
        self.launch()
        self.wait_until(ready)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and wait for it; what does not end in time is killed."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """``kill -9``."""
        self.stop(signal.SIGKILL)


def accepts(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
