"""The demo: each kind's own sample, sent through the running API as any client would."""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from saccade.client import Client
from saccade.stack.errors import StackError
from saccade.weights import bring, needed_models, sample_models
from saccade_core.errors import SaccadeError
from saccade_core.jobs import Job, queue_name
from saccade_core.kind import Kind
from saccade_core.records.database import Database
from saccade_core.records.keys import any_key, make_key, revoke_key
from saccade_kinds import registry
from saccade_models.weights import local_model

_AT_ONCE = 4
_LIMIT_S = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A kind whose sample was not run; ``reason`` says what it lacks, and the command that helps."""

    kind: str
    reason: str


def run_demo(url: str, database: Database, queues: Set[str], say: Say) -> list[Job | Skipped]:
    """One finished job of each kind that workers, which look at these ``queues``, can run, in the kinds' order, the
    others as skipped; models are brought where need be.

    Where the stack has API keys, the demo makes one for itself and revokes it at the end.
    """
    kinds = registry.kinds()
    names = [name for name, kind in kinds.items() if any(queue_name(kind, pool) in queues for pool in kind.pools)]
    idle = [Skipped(name, _no_worker(kind)) for name, kind in kinds.items() if name not in names]
    key = make_key(database, project="default", role="submit", name="demo") if any_key(database) else None
    client = Client(url, api_key=key[1] if key else None)
    try:
        with client, ThreadPoolExecutor(_AT_ONCE) as threads:
            needed = needed_models(names)
            absent = {m for m, here in zip(needed, threads.map(partial(_bring, say), needed), strict=True) if not here}
            done = list(threads.map(partial(_run_one, client, absent), names))
            return [*done, *idle]
    finally:
        if key:
            revoke_key(database, key[0].id)


def _no_worker(kind: Kind) -> str:
    pool = kind.pools[-1]
    return f"no worker of pool {pool}: saccade up --workers {'' if pool == 'cpu' else 'cpu=2,'}{pool}=1"


def _bring(say: Say, model: str) -> bool:
    """Whether the model is here, or could be brought."""
    try:
        local_model(model)
    except SaccadeError:
        try:
            bring(model, say)
        except (SaccadeError, StackError) as error:
            say(f"{model}: {error}")
            return False
    return True


def _run_one(client: Client, absent: Set[str], name: str) -> Job | Skipped:
    missing = [model for model in sample_models(name) if model in absent]
    if missing:
        return Skipped(name, f"a model is not here: saccade assets pull {' '.join(missing)}")
    sample = registry.sample(name)
    for earlier in sample.before:
        _submit(client, earlier)
    return _submit(client, sample)


def _submit(client: Client, sample: registry.Sample) -> Job:
    inputs: dict[str, str | list[str]] = {}
    for field, files in sample.files.items():
        ids = [client.upload(file).id for file in files]
        inputs[field] = ids if registry.get(sample.kind).inputs[field].many else ids[0]
    job = client.submit(sample.kind, inputs, sample.params, labels={"demo": "true"})
    return client.wait(job.id, timeout_s=_LIMIT_S)
