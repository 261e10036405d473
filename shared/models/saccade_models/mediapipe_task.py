"""MediaPipe Tasks kept quiet, offline and alive.

The library writes what it likes to the process's standard error, whatever its settings, and sends usage figures home
when a task is closed (1.2.2; there is no switch). And a task that failed once fails for ever.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import cv2
import mediapipe as mp

from saccade_core.errors import EngineFailed
from saccade_models.images import Pixels
from saccade_models.no_internet import without_internet

VERSION: str = mp.__version__

R_co = TypeVar("R_co", covariant=True)
_ERRORS = (RuntimeError, ValueError, OSError, IndexError, NotImplementedError)  # of mediapipe_c_utils
_one_at_a_time = threading.RLock()
_tasks: WeakSet[Task[Any]] = WeakSet()


class _Object(Protocol[R_co]):
    def detect(self, image: mp.Image) -> R_co: ...
    def close(self) -> None: ...


class Task(Generic[R_co]):
    """A MediaPipe object in IMAGE mode: made by ``make`` at the first picture, and again after one that it could
    not take."""

    def __init__(self, make: Callable[[], _Object[R_co]]) -> None:
        self._make = make
        self._object: _Object[R_co] | None = None
        _tasks.add(self)

    def detect(self, picture: Pixels) -> R_co:
        """What the task finds in a picture (H, W, 3) uint8 BGR; raises EngineFailed."""
        with _silent():
            try:
                if self._object is None:
                    self._object = without_internet(self._make)
                rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                return self._object.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb))
            except _ERRORS as error:
                self._close()
                raise _failure(error, picture) from error

    def abandon(self) -> None:
        """Never close the object: for the end of the process."""
        if self._object is not None:
            vars(self._object)["_handle"] = None

    def _close(self) -> None:
        broken, self._object = self._object, None
        if broken is not None:
            with suppress(*_ERRORS):
                broken.close()


@atexit.register
def _abandon() -> None:
    """By then the threads that closing needs have ended, and MediaPipe's destructors would complain of it."""
    for task in list(_tasks):
        task.abandon()


def _failure(error: Exception, picture: Pixels) -> EngineFailed:
    if "cannot open shared object file" in str(error):
        return EngineFailed(
            "MediaPipe needs the system libraries libEGL and libGLESv2: apt-get install libegl1 libgles2"
        )
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    return EngineFailed(f"MediaPipe could not look at the picture of {size} pixels.", received=size)


@contextmanager
def _silent() -> Generator[None]:
    """Nothing reaches standard error (the file descriptor, so of no thread)."""
    with _one_at_a_time:
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted, not a path
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
