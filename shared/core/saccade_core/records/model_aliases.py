"""What a model's aliases stand for, have stood for, and rolling back to that."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, func, insert, select
from sqlalchemy.orm import Session

from saccade_core.errors import Conflict, UnknownModel
from saccade_core.records.database import Database, now
from saccade_core.records.model_tables import ModelAliasChangeRow, ModelAliasRow, ModelVersionRow
from saccade_core.records.models import READY, find_in, lock_model
from saccade_core.trained import Wanted, served_name

_Alias = tuple[str, str, str]
"""Project, model's name, alias."""


def list_aliases(db: Database, project: str, name: str) -> Sequence[ModelAliasRow]:
    """The model's aliases by name."""
    mine = (ModelAliasRow.project == project, ModelAliasRow.name == name)
    with db.read() as session:
        return session.scalars(select(ModelAliasRow).where(*mine).order_by(ModelAliasRow.alias)).all()


def alias_history(db: Database, project: str, name: str, limit: int = 100) -> Sequence[ModelAliasChangeRow]:
    """What the model's aliases were set to, the latest first; the versions may have been deleted since."""
    mine = (ModelAliasChangeRow.project == project, ModelAliasChangeRow.name == name)
    latest = (ModelAliasChangeRow.changed_at.desc(), ModelAliasChangeRow.id.desc())
    with db.read() as session:
        return session.scalars(select(ModelAliasChangeRow).where(*mine).order_by(*latest).limit(limit)).all()


def set_alias(db: Database, project: str, name: str, alias: str, version: int) -> ModelAliasRow:
    """Let the alias stand for the version from now on. Raises UnknownModel."""
    with db.write() as session:
        _lock(session, project, Wanted(name, version=version))
        return _set(db, session, (project, name, alias), version)


def previous_version(db: Database, project: str, name: str, alias: str) -> int:
    """The version that a rollback of the alias goes to: the last one before that differs and is still there.

    Raises UnknownModel where the alias is not set, Conflict where there is none to go back to.
    """
    with db.read() as session:
        return _previous(session, project, name, alias)


def roll_back(db: Database, project: str, name: str, alias: str, to: int) -> ModelAliasRow:
    """Set the alias back to ``to``, what ``previous_version`` gave; Conflict where that is another one by now."""
    with db.write() as session:
        _lock(session, project, Wanted(name, alias=alias))
        if _previous(session, project, name, alias) != to:
            raise Conflict(f"Alias {alias!r} of model {name!r} was changed meanwhile.", field="alias", received=alias)
        return _set(db, session, (project, name, alias), to)


def remove_alias(db: Database, project: str, name: str, alias: str) -> None:
    """Let the alias stand for nothing; what it stood for stays in its history. Raises UnknownModel."""
    with db.write() as session:
        _lock(session, project, Wanted(name, alias=alias))
        session.execute(delete(ModelAliasRow).where(_is_alias(ModelAliasRow, project, name, alias)))


def _lock(session: Session, project: str, wanted: Wanted) -> None:
    """Lock the model's row and see that what is wanted is there."""
    lock_model(session, project, wanted.name)
    find_in(session, project, wanted)


def _set(db: Database, session: Session, of: _Alias, version: int) -> ModelAliasRow:
    project, name, alias = of
    row = session.get(ModelAliasRow, of)
    if row is not None and row.version == version:
        return row
    changes = select(func.max(ModelAliasChangeRow.id)).where(_is_alias(ModelAliasChangeRow, project, name, alias))
    last = session.execute(changes).scalar_one_or_none() or "/0"
    number = int(last.rpartition("/")[2]) + 1
    change_id = f"{served_name(project, name)}@{alias}/{number:08d}"
    values = {"project": project, "name": name, "alias": alias, "version": version}
    session.execute(insert(ModelAliasChangeRow).values(id=change_id, **values, changed_at=now()))
    put = db.insert(ModelAliasRow).values(**values, changed_at=now())
    again = put.on_conflict_do_update(
        index_elements=["project", "name", "alias"], set_={"version": version, "changed_at": now()}
    )
    # What this session read before must not come in place of what is written now.
    written = again.returning(ModelAliasRow).execution_options(populate_existing=True)
    return session.execute(written).scalar_one()


def _previous(session: Session, project: str, name: str, alias: str) -> int:
    current = session.get(ModelAliasRow, (project, name, alias))
    if current is None:
        raise UnknownModel(
            f"Model {name[:80]!r} has no alias {alias[:80]!r}.", field="alias", received=f"{name[:80]}@{alias[:80]}"
        )
    there = and_(
        ModelVersionRow.project == project,
        ModelVersionRow.name == name,
        ModelVersionRow.version == ModelAliasChangeRow.version,
        ModelVersionRow.state == READY,
    )
    earlier = (
        select(ModelAliasChangeRow.version)
        .join(ModelVersionRow, there)
        .where(_is_alias(ModelAliasChangeRow, project, name, alias), ModelAliasChangeRow.version != current.version)
        .order_by(ModelAliasChangeRow.id.desc())
        .limit(1)
    )
    version = session.execute(earlier).scalar_one_or_none()
    if version is None:
        raise Conflict(
            f"Alias {alias!r} of model {name!r} stands for version {current.version}, and has stood for no other "
            "version that is still there.",
            field="alias",
            received=alias,
        )
    return version


def _is_alias(
    table: type[ModelAliasRow | ModelAliasChangeRow], project: str, name: str, alias: str
) -> ColumnElement[bool]:
    return and_(table.project == project, table.name == name, table.alias == alias)
