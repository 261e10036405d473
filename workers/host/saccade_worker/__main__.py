"""``python -m saccade_worker --pool cpu``: one worker process."""

from __future__ import annotations

import argparse
import ctypes
import logging
import sys
from typing import cast

from saccade_core.kind import POOLS, Pool
from saccade_worker.app import run_worker
from saccade_worker.settings import WorkerSettings

_PR_SET_DUMPABLE = 4


def main() -> None:
    """Read the arguments and consume until told to stop."""
    parser = argparse.ArgumentParser(prog="saccade_worker", description="Runs the jobs of one pool.")
    parser.add_argument("--pool", choices=POOLS, default="cpu")
    parser.add_argument("--train", action="store_true", help="take training jobs, and nothing else")
    parser.add_argument("--name", default="worker", help="a name to be seen in GET /v1/workers")
    args = parser.parse_args()
    # Its environment holds secrets: other processes of this user, its own child too, may not read them from /proc.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The thread that hands the child its next job must not wait 5 ms for those that fetch and store.
    sys.setswitchinterval(0.0005)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run_worker(WorkerSettings(), cast("Pool", args.pool), train=args.train, name=args.name)


if __name__ == "__main__":
    main()
