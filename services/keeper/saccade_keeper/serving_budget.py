"""How much of what is wanted the model server may load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saccade_core.records import model_aliases
from saccade_core.records.database import Database
from saccade_core.records.model_tables import ModelVersionRow
from saccade_keeper.serving_folder import saved_model_bytes


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the server is to load."""

    versions: int = 64
    bytes: int = 4 << 30


def within(budget: Budget, db: Database, rows: Sequence[ModelVersionRow]) -> Sequence[ModelVersionRow]:
    """Those of ``rows`` that the budget has room for: what an alias stands for first, then what was wanted last."""
    if len(rows) <= budget.versions and sum(map(saved_model_bytes, rows)) <= budget.bytes:
        return rows
    aliased = {
        (project, name, alias.version)
        for project, name in {(row.project, row.name) for row in rows}
        for alias in model_aliases.list_aliases(db, project, name)
    }

    def rank(row: ModelVersionRow) -> tuple[bool, float]:
        return (row.project, row.name, row.version) not in aliased, -(row.wanted_at or 0.0)

    kept: list[ModelVersionRow] = []
    room = budget.bytes
    for row in sorted(rows, key=rank):
        size = saved_model_bytes(row)
        if len(kept) < budget.versions and size <= room:
            kept.append(row)
            room -= size
    return kept
