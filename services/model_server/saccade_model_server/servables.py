"""Versions of models from the file system to memory and back: which are to be served, loading, draining, unloading.

As TensorFlow Serving does it (its "availability preserving" policy): a new version is loaded and warmed up, and then
the old one is unloaded, once the requests that use it have ended. Everything here runs in one event loop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from saccade_model_server.configs import ModelConfig
from saccade_model_server.errors import Code, ServingError, invalid, not_found

log = logging.getLogger(__name__)

T = TypeVar("T")


class State(IntEnum):
    """ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: a version, or a label, or the newest one."""

    name: str
    version: int | None = None
    label: str = ""

    def __str__(self) -> str:
        return f"Latest({self.name})" if self.version is None else f"Specific({self.name}, {self.version})"


@dataclass(slots=True)
class Version(Generic[T]):
    """One version; ``loaded`` while it is AVAILABLE or UNLOADING, ``error`` where it ended without being asked to."""

    number: int
    state: State = State.START
    error: ServingError | None = None
    loaded: T | None = None
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Model(Generic[T]):
    name: str
    config: ModelConfig | None
    versions: dict[int, Version[T]] = field(default_factory=dict[int, Version[T]])

    def aspired(self) -> list[int]:
        return self.config.aspired() if self.config else []


class Servables(Generic[T]):
    """What is loaded. ``load`` makes a version's folder into what is served; it runs in a thread."""

    def __init__(self, load: Callable[[Path], T], load_threads: int = 1) -> None:
        self._load_folder = load
        self._loads = asyncio.Semaphore(load_threads)
        self._models: dict[str, _Model[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def reload(self, configs: Mapping[str, ModelConfig]) -> None:
        """Serve exactly these from now on; returns once a version of each model that was not configured before is
        available. Raises ServingError where one cannot be; what was asked for stays asked for."""
        new = [name for name in configs if name not in self._models or self._models[name].config is None]
        for name, config in configs.items():
            self._models.setdefault(name, _Model(name, None)).config = config
        for name in self._models.keys() - configs.keys():
            self._models[name].config = None
        self.look()
        failed = [text for name in new if (text := await self._until_available(self._models[name]))]
        if failed:
            raise ServingError(
                Code.UNAVAILABLE, f"{len(failed)} servable(s) did not become available: {'; '.join(failed)}"
            )
        _check_labels(configs, self._models)

    async def run(self, poll_s: float) -> None:
        """Look for versions that came and went, until cancelled."""
        while True:
            await asyncio.sleep(poll_s)
            self.look()

    def look(self) -> None:
        """Take the next steps of every model."""
        for model in self._models.values():
            self._step(model)

    @contextmanager
    def use(self, wanted: Wanted) -> Generator[tuple[int, T]]:
        """The version that answers, and its number; it is not unloaded before the block ends. Raises ServingError."""
        version = self._find(wanted)
        loaded = version.loaded
        assert loaded is not None  # noqa: S101 - AVAILABLE
        version.users += 1
        try:
            yield version.number, loaded
        finally:
            version.users -= 1
            if not version.users:
                version.unused.set()

    def statuses(self, wanted: Wanted) -> list[Version[T]]:
        """The model's versions, newest first. Raises ServingError where there are none."""
        model = self._models.get(wanted.name)
        if wanted.label and model:
            wanted = Wanted(wanted.name, self._labelled(model, wanted.label))
        versions = model.versions if model else {}
        found = sorted(versions.values(), key=lambda each: -each.number)
        if wanted.version is not None:
            found = [each for each in found if each.number == wanted.version]
        if not found:
            which = "any versions" if wanted.version is None else f"version {wanted.version}"
            raise not_found(f"Could not find {which} of model {wanted.name}")
        return found

    def _find(self, wanted: Wanted) -> Version[T]:
        model = self._models.get(wanted.name)
        if model and wanted.label:
            wanted = Wanted(wanted.name, self._labelled(model, wanted.label))
        ready = [each for each in model.versions.values() if each.state is State.AVAILABLE] if model else []
        if wanted.version is not None:
            ready = [each for each in ready if each.number == wanted.version]
        if not ready:
            raise not_found(f"Servable not found for request: {wanted}")
        return max(ready, key=lambda each: each.number)

    def _labelled(self, model: _Model[T], label: str) -> int:
        labels = model.config.labels if model.config else {}
        if label not in labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return labels[label]

    # The life of a version ------------------------------------------------------------------------------

    def _step(self, model: _Model[T]) -> None:
        aspired = model.aspired()
        for number in aspired:
            version = model.versions.get(number)
            if version is None or (version.state is State.END and version.error is None):
                version = model.versions[number] = Version(number)
                self._start(self._load(model, version))
        ready = any(model.versions[number].state is State.AVAILABLE for number in aspired)
        for version in list(model.versions.values()):
            if version.number in aspired:
                continue
            if version.state is State.AVAILABLE and (ready or not aspired):
                version.state = State.UNLOADING
                self._start(self._unload(model, version))
            elif version.state is State.END and version.error is not None:
                del model.versions[version.number]  # so that it is tried again should it be wanted again
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def _load(self, model: _Model[T], version: Version[T]) -> None:
        async with self._loads:
            config = model.config
            if config is None or version.number not in model.aspired():
                version.state = State.END
                return
            version.state = State.LOADING
            try:
                folder = _folder(config.base_path, version.number)
                version.loaded = await asyncio.to_thread(self._load_folder, folder)
            except Exception as error:
                version.state, version.error = State.END, _as_serving_error(error)
                log.warning(
                    "cannot load %s, version %d: %s",
                    model.name,
                    version.number,
                    version.error.message,
                    exc_info=None if isinstance(error, ServingError | OSError) else error,
                )
            else:
                version.state = State.AVAILABLE
                log.info("serving %s, version %d", model.name, version.number)
        self._step(model)

    async def _unload(self, model: _Model[T], version: Version[T]) -> None:
        while version.users:
            version.unused.clear()
            await version.unused.wait()
        version.loaded = None
        await asyncio.to_thread(gc.collect)
        version.state = State.END
        log.info("unloaded %s, version %d", model.name, version.number)
        self._step(model)

    async def _until_available(self, model: _Model[T]) -> str:
        """Empty once a version is available; else why none will be."""
        while True:
            changed = self._changed
            aspired = [model.versions[number] for number in model.aspired() if number in model.versions]
            if any(version.state is State.AVAILABLE for version in aspired):
                return ""
            if not aspired:
                return f"{{name: {model.name}}} has no versions under its base path"
            if all(version.state is State.END for version in aspired):
                first = aspired[0]
                reason = first.error.message if first.error else ""
                return f"{{name: {model.name} version: {first.number}}} due to error: {reason}"
            await changed.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _as_serving_error(error: Exception) -> ServingError:
    """What a version that cannot be loaded ends with."""
    match error:
        case ServingError():
            return error
        case OSError():
            return not_found("The folder cannot be read")
        case _:
            return ServingError(Code.INTERNAL, f"Loading failed: {type(error).__name__}")


def _folder(base_path: Path, number: int) -> Path:
    """The version's folder; its name may have zeros before the number."""
    for entry in base_path.iterdir():
        if entry.name.isdigit() and int(entry.name) == number:
            return entry
    raise not_found(f"Version {number} is not in the file system any more")


def _check_labels(configs: Mapping[str, ModelConfig], models: Mapping[str, _Model[Any]]) -> None:
    for name, config in configs.items():
        for number in config.labels.values():
            version = models[name].versions.get(number)
            if version is None or version.state is not State.AVAILABLE:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {number} of model {name}, "
                    "which is not currently available for inference",
                )
