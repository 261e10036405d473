"""``python -m saccade_gateway``: prepare the records, then serve."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from saccade_core.blobs import open_blobs
from saccade_core.errors import SaccadeError
from saccade_core.records import keys
from saccade_core.records.database import Database
from saccade_gateway.app import create_app
from saccade_gateway.auth import is_loopback
from saccade_gateway.settings import GatewaySettings

#: On SIGTERM, requests under way get this long.
_GRACE_S = 10


class _Server(uvicorn.Server):
    """Tells the application that the end has come, so that what waits for long answers at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "gateway"):
            app.state.gateway.stopping = True
        super().handle_exit(sig, frame)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="saccade_gateway", description="Saccade's HTTP gateway")
    parser.add_argument("--host", help="address to listen on (SACCADE_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on (SACCADE_PORT)")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    settings = GatewaySettings(**given)
    try:
        _prepare(settings)
    except SaccadeError as error:
        print(f"saccade_gateway: {error.message}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return 1
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended)
    _Server(config).run()
    return 0


def _ended(_number: int, _frame: FrameType | None) -> None:
    """What uvicorn's raising of the signal again, after it has ended in order, comes to: status 0."""


def _prepare(settings: GatewaySettings) -> None:
    """Bring the records up to date and check the object store; refuse to serve strangers without keys."""
    db = Database(settings.database_url)
    try:
        db.migrate()
        if settings.admin_key is not None:
            keys.admit_key(db, settings.admin_key.get_secret_value(), name="SACCADE_ADMIN_KEY")
        if not is_loopback(settings.host) and not keys.any_key(db):
            raise SaccadeError(
                f"Without an API key the gateway listens on loopback addresses only, not on {settings.host}; "
                "make a key first."
            )
    finally:
        db.close()
    open_blobs(settings).check()


if __name__ == "__main__":
    sys.exit(main())
