"""``python -m saccade_autoscaler``: workers follow the load."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from saccade_autoscaler.autoscaler import Autoscaler
from saccade_autoscaler.compose import Compose
from saccade_autoscaler.settings import AutoscalerSettings
from saccade_core.records.database import Database


def main() -> None:
    """Look after the workers until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()

    def stop_soon(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop_soon)
    settings = AutoscalerSettings()
    db = Database(settings.database_url)
    where = Compose(settings.autoscaler_project, settings.autoscaler_docker)
    try:
        Autoscaler(db, where, settings.autoscaler_pools, settings.autoscaler_period_s).run(stop)
    finally:
        db.close()


if __name__ == "__main__":
    main()
