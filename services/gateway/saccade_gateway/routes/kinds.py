"""``/v1/kinds``: the catalogue of what can be done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from saccade_core.errors import NotFound
from saccade_core.kind import Kind
from saccade_gateway.access import SECURITY, Reader
from saccade_gateway.job_requests import inputs_model_of, sample_of
from saccade_kinds import registry

router = APIRouter(prefix="/v1/kinds", tags=["kinds"], dependencies=SECURITY)


class ArtifactSpec(BaseModel):
    """What a job of the kind may write; ``*`` in the name stands for a number or a name."""

    name: str
    description: str


class KindView(BaseModel):
    """One kind of job; ``inputs``, ``params`` and ``result`` are JSON Schemas (2020-12)."""

    name: str
    version: str
    summary: str
    pools: list[str]
    inputs: dict[str, Any]
    params: dict[str, Any]
    result: dict[str, Any]
    artifacts: list[ArtifactSpec]
    time_limit_s: float
    memory_mb: int


class KindWithSample(KindView):
    """The kind and a request that works as it is."""

    sample: dict[str, Any]


class KindList(BaseModel):
    """All kinds, by name."""

    items: list[KindView]


@router.get("")
async def list_kinds(caller: Reader) -> KindList:  # noqa: ARG001 - asks for a key
    """All kinds of job; a kind's own page has its sample."""
    return KindList(items=[KindView(**_fields(kind)) for kind in registry.kinds().values()])


@router.get("/{kind}")
async def get_kind(kind: str, caller: Reader) -> KindWithSample:  # noqa: ARG001 - asks for a key
    """One kind of job."""
    if kind not in registry.kinds():
        raise NotFound(f"There is no kind of job called {kind!r}.", field="kind", received=kind)
    return KindWithSample(**_fields(registry.get(kind)), sample=dict(sample_of(kind)))


def _fields(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "version": kind.version,
        "summary": kind.summary,
        "pools": kind.pools,
        "inputs": inputs_model_of(kind.name).model_json_schema(),
        "params": kind.params.model_json_schema(),
        "result": kind.result.model_json_schema(mode="serialization"),
        "artifacts": [ArtifactSpec(name=a.name, description=a.description) for a in kind.artifacts],
        "time_limit_s": kind.time_limit_s,
        "memory_mb": kind.memory_mb,
    }
