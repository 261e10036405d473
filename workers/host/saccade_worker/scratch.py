"""Local folders for jobs' files: one for each run, inside one for each worker process."""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_LOCK = "lock"
#: A folder without a lock file is being made, or its maker died while making it.
_MAKING_S = 60.0
_JOB_FOLDER = re.compile(r"(?P<id>.+)\+(?P<token>\d+)-[^-]*")


class Scratch:
    """This worker's folder below ``root``, locked while the process lives; what dead workers left there is removed.

    ``abandoned`` are the jobs that those were running, each with the token of its claim: the kernel gave up a lock,
    so its holder is dead for certain, also where process ids say nothing (containers).
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.abandoned = [claim for folder in root.iterdir() for claim in _remove_if_left(folder)]
        self.path = Path(tempfile.mkdtemp(prefix="worker-", dir=root)).resolve()
        self._lock = (self.path / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @contextmanager
    def for_job(self, job_id: str, token: int) -> Generator[Path]:
        """A private folder with an empty ``artifacts`` in it, removed at the end. Raises OSError."""
        folder = Path(tempfile.mkdtemp(prefix=f"{job_id}+{token}-", dir=self.path))
        try:
            (folder / "artifacts").mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the worker's folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _remove_if_left(folder: Path) -> list[tuple[str, int]]:
    """Remove the folder unless a living worker holds its lock; the jobs that its worker ran, with their tokens."""
    claims: list[tuple[str, int]] = []
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = [_JOB_FOLDER.fullmatch(path.name) for path in folder.iterdir()]
            claims = [(match["id"], int(match["token"])) for match in found if match]
            shutil.rmtree(folder)
    except BlockingIOError:
        pass
    except FileNotFoundError:
        try:
            if time.time() - folder.stat().st_mtime > _MAKING_S:
                shutil.rmtree(folder)
        except OSError as error:
            log.info("scratch: %s", error)
    except OSError as error:
        log.info("scratch: %s", error)
    return claims
