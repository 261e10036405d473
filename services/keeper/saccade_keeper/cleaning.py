"""Removing what is over from the object store, in a thread of its own: a slow store must not stop the repair."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from saccade_core.blobs import Blobs
from saccade_core.errors import SaccadeError
from saccade_core.live import Live
from saccade_core.records import forgotten, model_removal, removals, repair
from saccade_core.records.database import Database
from saccade_keeper.sweep import remove_forgotten

log = logging.getLogger(__name__)

_TIDY_EVERY_S = 5.0
_LOOK_EVERY_S = 0.5
_AT_ONCE = 200


class Cleaner:
    """What the leading keeper removes; ``leads`` says whether this is the one, and is asked between the steps."""

    def __init__(
        self, db: Database, blobs: Blobs, live: Live, *, leads: Callable[[], bool], sweep_s: float, orphan_age_s: float
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._live = live
        self._leads = leads
        self._sweep_s = sweep_s
        self._orphan_age_s = orphan_age_s

    def run(self, stop: threading.Event) -> None:
        """Tidy every few seconds and sweep now and then, until ``stop`` is set."""

        def may_go_on() -> bool:
            return self._leads() and not stop.is_set()

        next_tidy = 0.0
        next_sweep = time.monotonic() + min(60.0, self._sweep_s)  # not in the rush of a start
        while not stop.wait(_LOOK_EVERY_S):
            if time.monotonic() >= next_tidy and may_go_on():
                self._attempt(lambda: self.tidy(may_go_on))
                next_tidy = time.monotonic() + _TIDY_EVERY_S
            if time.monotonic() >= next_sweep and may_go_on():
                self._attempt(lambda: forgotten.drop_old_notes(self._db))
                self._attempt(lambda: remove_forgotten(self._db, self._blobs, self._orphan_age_s, may_go_on))
                next_sweep = time.monotonic() + self._sweep_s

    def tidy(self, may_go_on: Callable[[], bool]) -> None:
        """Remove expired jobs and files, records first: bytes that a crash leaves behind are the sweep's.

        What somebody asked to be removed comes first, and is on record until its bytes are gone; so are versions of
        models that their jobs reserved and never registered.
        """
        model_removal.remove_abandoned(self._db, _AT_ONCE)
        while may_go_on() and (keys := removals.due(self._db, _AT_ONCE)):
            removals.carry_out(self._db, self._blobs, keys)
        while may_go_on():
            jobs = repair.remove_expired_jobs(self._db, _AT_ONCE)
            for job_id in jobs:
                self._live.forget(job_id)
                self._blobs.delete_prefix(f"jobs/{job_id}/")
            files = repair.remove_expired_files(self._db, _AT_ONCE)
            self._blobs.delete(files)
            if max(len(jobs), len(files)) < _AT_ONCE:
                return

    def _attempt(self, duty: Callable[[], object]) -> None:
        try:
            duty()
        except SaccadeError as error:
            log.warning("cleaning: %s", error)
        except Exception:
            log.exception("cleaning")
