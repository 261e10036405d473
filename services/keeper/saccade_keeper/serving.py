"""Sees to it that the model server serves what it should: the versions that an alias stands for, and those that
somebody wanted within the last hour.

TensorFlow Serving reads models from a folder, so their SavedModels are copied there from the object store, as
``{served name}/{version}/``. Each step looks at the records, the folder and the server anew and does what is missing,
so that a keeper that is killed, or another one that takes over, changes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from saccade_core.blobs import Blobs, check_key, open_blobs
from saccade_core.errors import NotFound, SaccadeError, StorageFailed, Unavailable
from saccade_core.records import models
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_core.trained import served_name
from saccade_keeper.settings import KeeperSettings
from saccade_models.serving.client import ServedModel, ServingClient, VersionState, VersionStatus, config_text

log = logging.getLogger(__name__)

IDLE_S = 3600.0
_LOOK_EVERY_S = 0.5
#: What the server has been told already is told again this often while it does not have it.
_TELL_AGAIN_S = 5.0
#: What could not be copied is tried again after this time.
_COPY_AGAIN_S = 30.0
#: A version that the server does not have any more leaves the folder after this time.
_KEEP_S = 30.0
_SAVED_MODEL = "saved_model/"
#: What is being copied, or removed, beside the folders of the models.
_WORK = ".work"
_CONFIG = "models.config"

Place = tuple[str, int]
"""A served name and a version."""
Statuses = Mapping[str, Sequence[VersionStatus]]


@dataclass(slots=True)
class _Memory:
    """What one keeper remembers, only to do less: without it the same happens again."""

    told: tuple[ServedModel, ...] | None = None
    told_at: float = 0.0
    reachable: bool = True
    copy_again_at: dict[Place, float] = field(default_factory=dict[Place, float])
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
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._client = client
        self._folder = folder.absolute()
        self._server_folder = server_folder or str(self._folder)
        self._leads = leads
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
        wanted = models.servable(self._db, IDLE_S)
        there = [row for row in wanted if self._copied(row)]
        try:
            self._tell(there)
            statuses = self._statuses(there)
        except Unavailable:
            if self._memory.reachable:
                log.warning("the model server does not answer")
            self._memory.reachable, self._memory.told = False, None
            self._note_all(wanted, there, {})
            return
        self._memory.reachable = True
        self._note_all(wanted, there, statuses)
        self._remove_unwanted({_place(row) for row in wanted})

    # The folder -------------------------------------------------------------------------------------------

    def _copied(self, row: ModelVersionRow) -> bool:
        """Whether the version's SavedModel is in the folder now."""
        name, version = _place(row)
        target = self._folder / name / str(version)
        if target.is_dir():
            return True
        if time.monotonic() < self._memory.copy_again_at.get((name, version), 0.0):
            return False
        work = self._folder / _WORK / f"{name}-{version}"
        shutil.rmtree(work, ignore_errors=True)  # what a killed keeper left
        try:
            self._fetch(row, work)
        except (NotFound, StorageFailed) as error:
            self._memory.copy_again_at[name, version] = time.monotonic() + _COPY_AGAIN_S
            self._note(row, "failed", error.message)
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        work.rename(target)
        log.info("copied %s, version %d", name, version)
        return True

    def _fetch(self, row: ModelVersionRow, work: Path) -> None:
        for path, file in (row.files or {}).items():
            if not path.startswith(_SAVED_MODEL):
                continue
            local = work / check_key(path.removeprefix(_SAVED_MODEL))
            local.parent.mkdir(parents=True, exist_ok=True)
            self._blobs.get_file(file["key"], local, check=self._still_leading)
            if _sha256(local) != file["sha256"]:
                raise StorageFailed(f"The stored file '{path}' is not what was registered.")

    def _still_leading(self) -> None:
        if not self._leads():
            raise Unavailable("Another keeper leads now.")

    def _remove_unwanted(self, wanted: set[Place]) -> None:
        """Remove versions that the server has not had for a while."""
        found = {place for place in self._places() if place not in wanted}
        loaded = {name: _loaded(self._client.status(name)) for name in {name for name, _ in found}}
        now, since = time.monotonic(), self._memory.unwanted_since
        gone = {(name, version) for name, version in found if version not in loaded[name]}
        for place in list(since):
            if place not in gone:
                del since[place]
        for name, version in sorted(gone):
            if now - since.setdefault((name, version), now) >= _KEEP_S:
                self._remove(name, version)

    def _remove(self, name: str, version: int) -> None:
        trash = self._folder / _WORK / f"{name}-{version}-gone"
        shutil.rmtree(trash, ignore_errors=True)
        trash.parent.mkdir(exist_ok=True)
        (self._folder / name / str(version)).rename(trash)  # at once: half of a version must never be seen
        shutil.rmtree(trash)
        with suppress(OSError):  # it has other versions
            (self._folder / name).rmdir()
        log.info("removed %s, version %d", name, version)

    def _places(self) -> Iterator[Place]:
        if not self._folder.is_dir():
            return
        for model in self._folder.iterdir():
            if model.is_dir() and model.name != _WORK:
                for version in model.iterdir():
                    if version.name.isdecimal() and version.is_dir():
                        yield model.name, int(version.name)

    # The server -------------------------------------------------------------------------------------------

    def _tell(self, rows: Iterable[ModelVersionRow]) -> None:
        """Tell the server what to serve, where that is news, or where it does not have it (it was started again)."""
        by_name: dict[str, list[int]] = defaultdict(list)
        for name, version in map(_place, rows):
            by_name[name].append(version)
        wanted = tuple(
            ServedModel(name, f"{self._server_folder}/{name}", tuple(sorted(versions)))
            for name, versions in sorted(by_name.items())
        )
        memory, now = self._memory, time.monotonic()
        if wanted == memory.told and (now - memory.told_at < _TELL_AGAIN_S or not self._lacks(wanted)):
            return
        if wanted != memory.told:
            self._write_config(wanted)
        memory.told, memory.told_at = wanted, now
        try:
            self._client.reload(wanted)
        except Unavailable as error:  # also where one of the models cannot be loaded; its status tells why
            log.warning("the model server did not take all models: %s", error)

    def _write_config(self, wanted: Sequence[ServedModel]) -> None:
        """What TensorFlow Serving reads when it starts (``--model_config_file``): it needs one to start at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f"{_CONFIG}.new"
        new.write_text(config_text(wanted), "utf-8")
        new.replace(self._folder / _CONFIG)

    def _lacks(self, wanted: Iterable[ServedModel]) -> bool:
        for model in wanted:
            known = {each.version for each in self._client.status(model.name) if not _ended(each)}
            if not known.issuperset(model.versions):
                return True
        return False

    def _statuses(self, rows: Iterable[ModelVersionRow]) -> Statuses:
        return {name: self._client.status(name) for name in sorted({name for name, _ in map(_place, rows)})}

    # The records ------------------------------------------------------------------------------------------

    def _note_all(
        self, wanted: Sequence[ModelVersionRow], there: Sequence[ModelVersionRow], statuses: Statuses
    ) -> None:
        for row in there:
            name, version = _place(row)
            status = next((each for each in statuses.get(name, ()) if each.version == version), None)
            self._note(row, *_serving(status))
        noted = {_place(row) for row in wanted}
        for row in models.seen_serving(self._db):
            if _place(row) not in noted:
                self._note(row, None, None)

    def _note(self, row: ModelVersionRow, serving: str | None, error: str | None) -> None:
        if (row.serving, row.serving_error) != (serving, error):
            models.set_serving(self._db, row.project, row.name, row.version, serving, error=error)
            log.info("%s@%d: %s", row.name, row.version, serving or "not served")


def _place(row: ModelVersionRow) -> Place:
    return served_name(row.project, row.name), row.version


def _ended(status: VersionStatus) -> bool:
    return status.state is VersionState.END and not status.error


def _loaded(statuses: Iterable[VersionStatus]) -> set[int]:
    return {each.version for each in statuses if each.state is not VersionState.END}


def _serving(status: VersionStatus | None) -> tuple[str | None, str | None]:
    """What the records say of a version with this status."""
    if status is None or _ended(status):
        return None, None
    match status.state:
        case VersionState.AVAILABLE:
            return "available", None
        case VersionState.END:
            return "failed", status.error
        case VersionState.UNLOADING:
            return None, None
        case _:
            return "loading", None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            Serving(db, open_blobs(settings), client, folder, seen_as, leads=leads).run(stop)
        finally:
            client.close()

    thread = threading.Thread(target=run, name="serving", daemon=True)
    thread.start()
    return thread
