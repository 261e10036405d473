"""Bytes that must go, on record until they are gone: a crash after the record's removal leaves no picture behind."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from saccade_core.blobs import Blobs
from saccade_core.records.database import Database, now
from saccade_core.records.tables import RemovalRow

_AT_ONCE = 500


def must_go(db: Database, session: Session, keys: Sequence[str]) -> None:
    """Note keys, or prefixes that end with ``/``, in the transaction that removes their record."""
    since = session.execute(select(now())).scalar_one()
    for first in range(0, len(keys), _AT_ONCE):
        some = [{"key": key, "since": since} for key in keys[first : first + _AT_ONCE]]
        session.execute(db.insert(RemovalRow).values(some).on_conflict_do_nothing())


def due(db: Database, limit: int) -> Sequence[str]:
    """What is noted, the oldest first."""
    with db.read() as session:
        return session.scalars(select(RemovalRow.key).order_by(RemovalRow.since).limit(limit)).all()


def carry_out(db: Database, blobs: Blobs, keys: Sequence[str]) -> None:
    """Remove the bytes, then the notes. Raises StorageFailed: what is left is the keeper's to do."""
    for prefix in [key for key in keys if key.endswith("/")]:
        blobs.delete_prefix(prefix)
    blobs.delete([key for key in keys if not key.endswith("/")])
    for first in range(0, len(keys), _AT_ONCE):
        with db.write() as session:
            session.execute(delete(RemovalRow).where(RemovalRow.key.in_(keys[first : first + _AT_ONCE])))
