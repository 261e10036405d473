"""Sees to it that the model server serves what it should: the versions that an alias stands for, and those that
somebody wanted within the last hour, as many as fit its budget.

TensorFlow Serving reads models from a folder, so their SavedModels are copied there from the object store. Each step
looks at the records, the folder and the server anew and does what is missing, so that a keeper that is killed, or
another one that takes over, changes nothing.

TensorFlow Serving ends at its start where a version in its configuration cannot be loaded. So the file that it starts
with names only versions that a server has loaded, and those that failed are told to it again only now and then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from saccade_core.blobs import Blobs, open_blobs
from saccade_core.errors import NotFound, SaccadeError, StorageFailed, Unavailable
from saccade_core.records import models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_keeper.serving_budget import Budget, within
from saccade_keeper.serving_folder import OtherBytes, Place, ServingFolder, place_of
from saccade_keeper.settings import KeeperSettings
from saccade_models.serving.client import ServedModel, ServingClient, VersionState, VersionStatus

log = logging.getLogger(__name__)

IDLE_S = 3600.0
_LOOK_EVERY_S = 0.5
#: What the server has been told already is told again this often while it does not have it.
_TELL_AGAIN_S = 5.0
#: What could not be copied or loaded is tried again after this time, then after twice, four times ... as long.
_TRY_AGAIN_S = 30.0
_TRY_AGAIN_MOST_S = 3600.0
#: So long after a version is told again, the server may still tell how it failed before.
_STALE_S = 5.0
#: A version that the server does not have any more leaves the folder after this time.
_KEEP_S = 30.0

Statuses = Mapping[str, Sequence[VersionStatus]]


@dataclass(slots=True)
class _Failure:
    """Why a version could not be copied or loaded; without ``error`` it may only be a matter of time."""

    error: str | None
    again_at: float
    times: int


@dataclass(slots=True)
class _Memory:
    """What one keeper remembers, only to do less: without it the same happens again."""

    told: tuple[ServedModel, ...] | None = None
    told_at: float = 0.0
    reachable: bool = True
    failures: dict[Place, _Failure] = field(default_factory=dict[Place, _Failure])
    #: Versions that the server said could not be loaded before it was told them (again), and when that was.
    stale: dict[Place, float] = field(default_factory=dict[Place, float])
    loaded: set[Place] = field(default_factory=set[Place])
    config: tuple[ServedModel, ...] | None = None
    over_budget: frozenset[Place] = frozenset()
    unwanted_since: dict[Place, float] = field(default_factory=dict[Place, float])


class Serving:
    """``folder`` is where models are copied to, ``server_folder`` the same folder as the server sees it."""

    def __init__(
        self,
        db: Database,
        blobs: Blobs,
        client: ServingClient,
        folder: Path,
        server_folder: str | None = None,
        *,
        budget: Budget | None = None,
        leads: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._client = client
        self._folder = ServingFolder(folder, blobs)
        self._server_folder = server_folder or str(self._folder.path)
        self._budget = budget or Budget()
        self._leads = leads
        self._clock = clock
        self._memory = _Memory()

    def run(self, stop: threading.Event) -> None:
        """Step after step while this keeper leads, until ``stop`` is set."""
        while not stop.wait(_LOOK_EVERY_S):
            if not self._leads():
                self._memory = _Memory()
                continue
            try:
                self.step()
            except SaccadeError as error:
                log.warning("serving: %s", error)
            except Exception:
                log.exception("serving")

    def step(self) -> None:
        """Copy what is missing, tell the server, note what it has, remove what is over."""
        wanted = self._within_budget(models.servable(self._db, IDLE_S))
        self._forget_all_but({place_of(row) for row in wanted})
        if not self._folder.has_config():
            self._folder.write_config([])
        there = [row for row in wanted if self._copied(row)]
        try:
            self._tell(there)
            statuses = self._statuses(there)
        except Unavailable:
            if self._memory.reachable:
                log.warning("the model server does not answer")
            self._memory.reachable, self._memory.told = False, None
            self._note_all(wanted, {})
            return
        self._memory.reachable = True
        self._learn(there, statuses)
        self._note_all(wanted, statuses)
        self._write_config()
        self._remove_unwanted({place_of(row) for row in wanted})

    def _within_budget(self, rows: Sequence[ModelVersionRow]) -> Sequence[ModelVersionRow]:
        kept = within(self._budget, self._db, rows)
        over = frozenset(map(place_of, rows)) - set(map(place_of, kept))
        if over - self._memory.over_budget:
            log.warning("the model server may not load %d more versions that are wanted", len(over))
        self._memory.over_budget = over
        return kept

    def _forget_all_but(self, wanted: set[Place]) -> None:
        memory = self._memory
        memory.loaded &= wanted
        for remembered in (memory.failures, memory.stale):
            for place in remembered.keys() - wanted:
                del remembered[place]

    # The folder -------------------------------------------------------------------------------------------

    def _copied(self, row: ModelVersionRow) -> bool:
        """Whether the version is in the folder now, and may be told to the server."""
        place = place_of(row)
        failure = self._memory.failures.get(place)
        if failure and self._clock() < failure.again_at:
            return False
        if self._folder.has(row):
            return True
        try:
            self._folder.copy(row, self._still_leading)
        except (NotFound, OtherBytes) as error:
            self._failed(place, error.message)
            return False
        except (StorageFailed, OSError) as error:
            log.warning("%s@%d could not be copied: %s", *place, error)
            self._failed(place, None)
            return False
        log.info("copied %s, version %d", *place)
        return True

    def _still_leading(self) -> None:
        if not self._leads():
            raise Unavailable("Another keeper leads now.")

    def _failed(self, place: Place, error: str | None) -> None:
        before = self._memory.failures.get(place)
        times = before.times + 1 if before else 1
        pause = min(_TRY_AGAIN_MOST_S, _TRY_AGAIN_S * 2 ** min(times - 1, 20))
        self._memory.failures[place] = _Failure(error, self._clock() + pause, times)

    def _remove_unwanted(self, wanted: set[Place]) -> None:
        """Remove versions that the server has not had for a while."""
        found = {place for place in self._folder.places() if place not in wanted}
        loaded = {name: _loaded(self._client.status(name)) for name in {name for name, _ in found}}
        now, since = self._clock(), self._memory.unwanted_since
        gone = {(name, version) for name, version in found if version not in loaded[name]}
        for place in since.keys() - gone:
            del since[place]
        for place in sorted(gone):
            if now - since.setdefault(place, now) >= _KEEP_S and self._folder.remove(place):
                self._folder.remove_empty(place[0])
                log.info("removed %s, version %d", *place)

    # The server -------------------------------------------------------------------------------------------

    def _tell(self, rows: Iterable[ModelVersionRow]) -> None:
        """Tell the server what to serve, where that is news, or where it does not have it (it was started again)."""
        wanted = self._models(map(place_of, rows))
        memory, now = self._memory, self._clock()
        if wanted == memory.told and (now - memory.told_at < _TELL_AGAIN_S or not self._lacks(wanted)):
            return
        if wanted != memory.told:
            self._note_stale(wanted, now)
        memory.told, memory.told_at = wanted, now
        try:
            self._client.reload(wanted)
        except SaccadeError as error:  # also where one of the models cannot be loaded; its status tells why
            log.warning("the model server did not take all models: %s", error)

    def _note_stale(self, wanted: Iterable[ServedModel], now: float) -> None:
        """What the server says before it is told a version is no news of it."""
        before = {(model.name, version) for model in self._memory.told or () for version in model.versions}
        for model in wanted:
            new = {version for version in model.versions if (model.name, version) not in before}
            for status in self._client.status(model.name) if new else ():
                if status.version in new and status.failed:
                    self._memory.stale[model.name, status.version] = now

    def _models(self, places: Iterable[Place]) -> tuple[ServedModel, ...]:
        by_name: dict[str, list[int]] = defaultdict(list)
        for name, version in places:
            by_name[name].append(version)
        return tuple(
            ServedModel(name, f"{self._server_folder}/{name}", tuple(sorted(versions)))
            for name, versions in sorted(by_name.items())
        )

    def _write_config(self) -> None:
        """Let a server that starts now begin with what one has loaded already."""
        config = self._models(self._memory.loaded)
        if config != self._memory.config:
            self._folder.write_config(config)
            self._memory.config = config

    def _lacks(self, wanted: Iterable[ServedModel]) -> bool:
        return any(not _loaded(self._client.status(model.name)).issuperset(model.versions) for model in wanted)

    def _statuses(self, rows: Iterable[ModelVersionRow]) -> Statuses:
        return {name: self._client.status(name) for name in sorted({name for name, _ in map(place_of, rows)})}

    def _learn(self, told: Iterable[ModelVersionRow], statuses: Statuses) -> None:
        """Remember which versions are loaded, and which cannot be."""
        memory, now = self._memory, self._clock()
        for place in map(place_of, told):
            status = _status(statuses, place)
            if status is None:
                continue
            if status.failed:
                if now - memory.stale.get(place, -_STALE_S) >= _STALE_S:
                    log.warning("%s@%d cannot be loaded: %s", *place, status.error)
                    self._failed(place, status.error)
                    self._folder.distrust(place)
                    memory.stale.pop(place, None)
                    memory.loaded.discard(place)
                continue
            if status.state is not VersionState.END:
                memory.stale.pop(place, None)
            if status.state is VersionState.AVAILABLE:
                memory.loaded.add(place)
                memory.failures.pop(place, None)

    # The records ------------------------------------------------------------------------------------------

    def _note_all(self, wanted: Sequence[ModelVersionRow], statuses: Statuses) -> None:
        for row in wanted:
            failure, status = self._memory.failures.get(place_of(row)), _status(statuses, place_of(row))
            self._note(row, *(_failing(failure) if failure else _serving(status)))
        noted = {place_of(row) for row in wanted}
        for row in models.seen_serving(self._db):
            if place_of(row) not in noted:
                self._note(row, None, None)

    def _note(self, row: ModelVersionRow, serving: str | None, error: str | None) -> None:
        if (row.serving, row.serving_error) != (serving, error):
            models.set_serving(self._db, row.project, row.name, row.version, serving, error=error)
            log.info("%s@%d: %s", row.name, row.version, serving or "not served")


def _status(statuses: Statuses, place: Place) -> VersionStatus | None:
    return next((each for each in statuses.get(place[0], ()) if each.version == place[1]), None)


def _loaded(statuses: Iterable[VersionStatus]) -> set[int]:
    return {each.version for each in statuses if each.state is not VersionState.END}


def _failing(failure: _Failure) -> tuple[str | None, str | None]:
    return ("loading", None) if failure.error is None else ("failed", failure.error)


def _serving(status: VersionStatus | None) -> tuple[str | None, str | None]:
    """What the records say of a version with this status."""
    if status is None or (status.state is VersionState.END and not status.error):
        return None, None
    match status.state:
        case VersionState.AVAILABLE:
            return "available", None
        case VersionState.UNLOADING:
            return None, None
        case _:  # also END with an error: it is told again now, else it were among the failures
            return "loading", None


def start_serving(
    settings: KeeperSettings, db: Database, leads: Callable[[], bool], stop: threading.Event
) -> threading.Thread:
    """Serve in a thread of its own, until ``stop`` is set: a slow store or server must not stop the repair. Without
    a model server the thread ends at once."""

    def run() -> None:
        if settings.serving_url is None:
            return
        client = ServingClient(settings.serving_url)
        try:
            folder, seen_as = settings.serving_dir, settings.serving_server_dir
            budget = Budget(settings.serving_most_versions, settings.serving_most_bytes)
            Serving(db, open_blobs(settings), client, folder, seen_as, budget=budget, leads=leads).run(stop)
        finally:
            client.close()

    thread = threading.Thread(target=run, name="serving", daemon=True)
    thread.start()
    return thread
