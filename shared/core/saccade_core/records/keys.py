"""API keys: shown once when made, stored as SHA-256 (the secrets are random, so no salt or slow hash helps)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Literal, get_args

from sqlalchemy import select, update

from saccade_core.errors import InvalidRequest, NotFound
from saccade_core.ids import new_id
from saccade_core.records.database import Database, now
from saccade_core.records.tables import KeyRow

Role = Literal["read", "submit", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each role may do what those before it may: look; give files and jobs; operate queues and keys."""
_SECRET = re.compile(r"sk_[A-Za-z0-9_-]{32,200}")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def make_key(db: Database, *, project: str, role: str, name: str = "") -> tuple[KeyRow, str]:
    """A new key and its secret ``sk_...``, which nothing can show again."""
    if role not in ROLES:
        raise InvalidRequest(f"A role is one of {', '.join(ROLES)}.", field="role", received=role)
    if not _PROJECT.fullmatch(project):
        raise InvalidRequest(
            "A project's name is 1 to 63 lower-case letters, digits, '_' and '-', and begins with a letter or digit.",
            field="project",
            received=project[:100],
        )
    secret = "sk_" + secrets.token_urlsafe(32)
    with db.write() as session:
        created = session.execute(select(now())).scalar_one()
        row = KeyRow(id=new_id("key"), hash=_hash(secret), project=project, role=role, name=name, created_at=created)
        session.add(row)
        return row, secret


def admit_key(db: Database, secret: str, *, name: str) -> None:
    """See to it that this secret, which was made elsewhere, is that of an administrator of the default project.

    Raises errors.InvalidRequest where it is too short to be a secret.
    """
    if not _SECRET.fullmatch(secret):
        raise InvalidRequest("An API key is 'sk_' and 32 or more letters, digits, '_' and '-'.", field=name)
    values = {"hash": _hash(secret), "project": "default", "role": "admin", "name": name, "revoked_at": None}
    admitted = db.insert(KeyRow).values(id=new_id("key"), created_at=now(), **values)
    with db.write() as session:
        session.execute(admitted.on_conflict_do_update(index_elements=["hash"], set_={"revoked_at": None}))


def find_key(db: Database, secret: str) -> KeyRow | None:
    """The key with this secret, unless it is revoked."""
    with db.read() as session:
        return session.execute(
            select(KeyRow).where(KeyRow.hash == _hash(secret), KeyRow.revoked_at.is_(None))
        ).scalar_one_or_none()


def any_key(db: Database) -> bool:
    """Whether a key was ever made: from then on every request needs one, also when all are revoked."""
    with db.read() as session:
        return session.execute(select(KeyRow.id).limit(1)).scalar_one_or_none() is not None


def list_keys(db: Database) -> Sequence[KeyRow]:
    """All keys, oldest first."""
    with db.read() as session:
        return session.scalars(select(KeyRow).order_by(KeyRow.id)).all()


def revoke_key(db: Database, key_id: str) -> None:
    """End a key's use; NotFound where it never was."""
    with db.write() as session:
        found = session.execute(
            update(KeyRow).where(KeyRow.id == key_id).values(revoked_at=now()).returning(KeyRow.id)
        ).scalar_one_or_none()
        if found is None:
            raise NotFound(f"There is no key {key_id}.", field="id", received=key_id)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
