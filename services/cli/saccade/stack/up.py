"""``saccade up``: from nothing to a running stack, and down again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from saccade.client import Client
from saccade.stack.config import Program, StackConfig, check_port, programs
from saccade.stack.environments import pool_pythons
from saccade.stack.errors import StackError
from saccade.stack.state import StackState, data_lock, forget_state
from saccade.stack.supervisor import Signals, Supervisor
from saccade_core.records.database import Database
from saccade_core.records.fleet import list_workers
from saccade_core.records.keys import any_key

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LOOK_EVERY_S = 0.1

Say = Callable[[str], None]


@dataclass(slots=True)
class WhenReady:
    """What happens once the stack is ready: ``act`` in a thread of its own; where its answer is not None, the stack
    stops with it as exit status. With ``within_s``, a stack that is not ready by then stops with status 1."""

    act: Callable[[Database], int | None]
    within_s: float | None = None


def run_stack(config: StackConfig, when_ready: WhenReady, say: Say) -> int:
    """Run the stack until a signal or ``when_ready`` stops it; the exit status. Raises StackError."""
    os.umask(0o077)  # records, logs and bytes are the user's alone, also those that children write
    with data_lock(config.data):
        check_port(config.host, config.port)
        pythons = pool_pythons(config.pools, say)
        database = Database(config.database_url)
        try:
            database.migrate()
            if config.host not in _LOOPBACK and not any_key(database):
                raise StackError(
                    f"Without an API key Saccade serves this machine alone, not {config.host}: "
                    f"make a key first with `saccade keys create --data-dir {config.data}`."
                )
            _rotate(config.logs)
            return _supervise(config, programs(config, pythons), database, when_ready, say)
        finally:
            database.close()


def _supervise(config: StackConfig, kept: list[Program], database: Database, when_ready: WhenReady, say: Say) -> int:
    started = time.time()

    def remember(processes: dict[str, int]) -> None:
        StackState(
            url=config.url,
            data_dir=str(config.data),
            started=started,
            supervisor=os.getpid(),
            processes=processes,
        ).write()

    with Signals() as signals:
        watcher = _Watcher(config, database, started=started, when_ready=when_ready, signals=signals, say=say)
        supervisor = Supervisor(kept, config.logs, signals, say=say, changed=remember)
        thread = threading.Thread(target=watcher.run, name="watcher", daemon=True)
        thread.start()
        try:
            supervisor.run()
        finally:
            watcher.stopping.set()
            forget_state(config.data)
            thread.join(timeout=5)
    say("stopped")
    return watcher.status


class _Watcher:
    """Waits until the stack is ready, then does what was asked for."""

    def __init__(
        self,
        config: StackConfig,
        database: Database,
        *,
        started: float,
        when_ready: WhenReady,
        signals: Signals,
        say: Say,
    ) -> None:
        self.stopping = threading.Event()
        self.status = 0 if when_ready.within_s is None else 1  # until what was to be done is done
        self._config = config
        self._database = database
        self._started = started
        self._when_ready = when_ready
        self._signals = signals
        self._say = say

    def run(self) -> None:
        """The thread's work."""
        try:
            status = self._when_ready.act(self._database) if self._until_ready() else 1
        except Exception:
            if self.stopping.is_set():  # the ground went away under it, as it should
                return
            self.status = 1
            self._signals.stop()
            raise
        if status is not None and not self.stopping.is_set():
            self.status = status
            self._signals.stop()

    def _until_ready(self) -> bool:
        limit = None if self._when_ready.within_s is None else time.monotonic() + self._when_ready.within_s
        with Client(self._config.url) as client:
            while not self.stopping.wait(_LOOK_EVERY_S) and (limit is None or time.monotonic() < limit):
                if client.ready() and self._workers_ready():
                    return True
        if not self.stopping.is_set():
            self._say(f"not ready after {self._when_ready.within_s:.0f} s; the logs in {self._config.logs} tell why")
        return False

    def _workers_ready(self) -> bool:
        """Whether each queue has a worker of this stack; the records tell, because the API may ask for a key."""
        rows = [row for row in list_workers(self._database) if row.started_at >= self._started]
        return self._config.workers.queues <= {queue for row in rows for queue in row.queues.split(",")}


def _rotate(logs: Path) -> None:
    """Keep the last run's logs beside the new ones."""
    logs.mkdir(exist_ok=True)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
