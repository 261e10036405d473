"""``python -m saccade_keeper``: the process that repairs."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from saccade_keeper.keeper import Keeper
from saccade_keeper.settings import KeeperSettings


def main() -> None:
    """Repair until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()

    def stop_soon(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_soon)
    Keeper(KeeperSettings()).run(stop)


if __name__ == "__main__":
    main()
