"""What the autoscaler saw and did, for those who operate the stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select

from saccade_core.ids import new_id
from saccade_core.records.database import Database, now
from saccade_core.records.model_tables import ScalingChangeRow, ScalingRow

#: Of each queue so many changes are kept.
KEPT_CHANGES = 200


def note(db: Database, queue: str, seen: dict[str, Any]) -> None:
    """Keep what was last seen of a queue's workers."""
    row = db.insert(ScalingRow).values(queue=queue, seen=seen, at=now())
    with db.write() as session:
        session.execute(row.on_conflict_do_update(index_elements=["queue"], set_={"seen": seen, "at": now()}))


def note_change(db: Database, queue: str, before: int, after: int, reason: str) -> None:
    """Keep a change of a queue's workers; the oldest beyond KEPT_CHANGES go."""
    with db.write() as session:
        at = session.execute(select(now())).scalar_one()
        change_id = new_id("scaling")
        session.add(ScalingChangeRow(id=change_id, queue=queue, before=before, after=after, reason=reason, at=at))
        session.flush()
        of_queue = select(ScalingChangeRow.id).where(ScalingChangeRow.queue == queue)
        old = session.scalars(of_queue.order_by(ScalingChangeRow.id.desc()).offset(KEPT_CHANGES)).all()
        session.execute(delete(ScalingChangeRow).where(ScalingChangeRow.id.in_(old)))


def last_seen(db: Database) -> Sequence[ScalingRow]:
    """What was last seen, by queue."""
    with db.read() as session:
        return session.scalars(select(ScalingRow).order_by(ScalingRow.queue)).all()


def last_changes(db: Database, limit: int = 50) -> Sequence[ScalingChangeRow]:
    """The last changes, the newest first."""
    with db.read() as session:
        return session.scalars(select(ScalingChangeRow).order_by(ScalingChangeRow.id.desc()).limit(limit)).all()
