"""The demo: each kind's own sample, sent through the running API as any client would."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from saccade.client import Client
from saccade_core.jobs import Job
from saccade_core.kind import Pool
from saccade_core.records.database import Database
from saccade_core.records.keys import any_key, make_key, revoke_key
from saccade_kinds import registry

_AT_ONCE = 4
_LIMIT_S = 300.0


def run_demo(url: str, database: Database, workers: Mapping[Pool, int]) -> list[Job]:
    """One finished job of each kind that has workers here, in the kinds' order.

    Where the stack has API keys, the demo makes one for itself and revokes it at the end.
    """
    names = [name for name, kind in registry.kinds().items() if any(workers.get(pool) for pool in kind.pools)]
    key = make_key(database, project="default", role="submit", name="demo") if any_key(database) else None
    client = Client(url, api_key=key[1] if key else None)
    try:
        with client, ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(partial(_run_one, client), names))
    finally:
        if key:
            revoke_key(database, key[0].id)


def _run_one(client: Client, name: str) -> Job:
    sample = registry.sample(name)
    inputs: dict[str, str | list[str]] = {}
    for field, files in sample.files.items():
        ids = [client.upload(file).id for file in files]
        inputs[field] = ids if registry.get(name).inputs[field].many else ids[0]
    job = client.submit(name, inputs, sample.params, labels={"demo": "true"})
    return client.wait(job.id, timeout_s=_LIMIT_S)
