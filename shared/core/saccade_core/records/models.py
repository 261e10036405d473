"""Trained models: their versions' numbers, what is on record of each version, and which one a name stands for.

A job that trains reserves its version's number when it is first prepared, stores the files under that number, and
makes the version ``ready`` in the transaction that makes the job succeed; before that nobody sees it. Numbers are
given once: a model that was deleted goes on counting (docs/decisions/0013-version-numbers.md).

Who changes what a model's versions and aliases are locks the model's row first, so changes of one model happen one
after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session, defer

from saccade_core.errors import InvalidParams, RemovedMeanwhile, UnknownModel
from saccade_core.records.database import Database, now
from saccade_core.records.model_tables import ModelAliasRow, ModelRow, ModelVersionRow
from saccade_core.storable import storable
from saccade_core.trained import PRODUCTION, SERVED_FAMILIES, Wanted, may_serve, read_served_name, served_name

STORING, READY = "storing", "ready"
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What is to be recorded of a version whose files are in the object store.

    ``files``: by path in the version's folder ``{"key", "bytes", "sha256"}``; the rest as
    saccade_core.trained.TrainedModel, metrics that are not finite as None. ``lineage``: ``job_id, kind, data`` (SHA-256
    by input), ``params, code_version, device, models``.
    """

    family: str
    files: Mapping[str, Mapping[str, Any]]
    roles: Mapping[str, str]
    metrics: Mapping[str, float | None]
    facts: Mapping[str, Any]
    checks: Mapping[str, float]
    lineage: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model in a list: how many versions are ready, the newest of them, and what the aliases stand for."""

    newest: ModelVersionRow  # without its files
    versions: int
    bytes: int
    aliases: Mapping[str, int]


def prefix_of(project: str, name: str, version: int) -> str:
    """Where in the object store a version's files are: ``models/churn/3/``."""
    return f"models/{served_name(project, name)}/{version}/"


def version_of(key: str) -> tuple[str, str, int] | None:
    """The project, name and version whose file the key below ``models/`` is; None where it is of registered weights."""
    served, _, rest = key.removeprefix("models/").partition("/")
    number = rest.partition("/")[0]
    return (*read_served_name(served), int(number)) if served != "weights" and number.isdecimal() else None


# Registering --------------------------------------------------------------------------------------------


def reserve(db: Database, project: str, name: str, job_id: str) -> int:
    """The number of the version that the job will register: a new one, or the one that the job has already."""
    mine = select(ModelVersionRow.version).where(ModelVersionRow.job_id == job_id)
    with db.read() as session:
        kept = session.execute(mine).scalar_one_or_none()
    if kept is not None:
        return kept
    new = db.insert(ModelRow).values(project=project, name=name, next_version=1, created_at=now())
    with db.write() as session:
        session.execute(new.on_conflict_do_nothing())
        number = lock_model(session, project, name)
        kept = session.execute(mine).scalar_one_or_none()  # by another worker, meanwhile
        if kept is not None:
            return kept
        following = update(ModelRow).where(is_model(ModelRow, project, name)).values(next_version=number + 1)
        session.execute(following)
        of = {"project": project, "name": name, "version": number, "job_id": job_id}
        session.execute(insert(ModelVersionRow).values(**of, state=STORING, created_at=now()))
        return number


def register(session: Session, project: str, job_id: str, version: int, model: StoredModel) -> None:
    """Make the version that the job reserved ready, within the caller's transaction.

    Raises RemovedMeanwhile where the reserved version is not there any more; the transaction must end with it.
    """
    values: dict[str, Any] = {
        "files": {path: dict(file) for path, file in model.files.items()},
        **{name: storable(dict(getattr(model, name))) for name in ("roles", "metrics", "facts", "checks", "lineage")},
    }
    found = session.execute(
        update(ModelVersionRow)
        .where(
            ModelVersionRow.job_id == job_id,
            ModelVersionRow.project == project,
            ModelVersionRow.version == version,
            ModelVersionRow.state == STORING,
        )
        .values(
            state=READY,
            family=model.family,
            sha256=model.files[model.roles["weights"]]["sha256"],
            bytes=sum(file["bytes"] for file in model.files.values()),
            created_at=now(),
            **values,
        )
        .returning(ModelVersionRow.version)
    ).scalar_one_or_none()
    if found is None:
        raise RemovedMeanwhile("The version that the job had reserved was removed meanwhile.", field="params.name")


# Finding ------------------------------------------------------------------------------------------------


def find(db: Database, project: str, wanted: Wanted) -> ModelVersionRow:
    """The version that the name stands for. Raises UnknownModel, which says what there is."""
    with db.read() as session:
        return find_in(session, project, wanted)


def find_in(session: Session, project: str, wanted: Wanted) -> ModelVersionRow:
    """As ``find``, within a transaction."""
    version = wanted.version if wanted.version is not None else _stands_for(session, project, wanted)
    row = None if version is None else session.get(ModelVersionRow, (project, wanted.name, version))
    if row is None or row.state != READY:
        raise unknown_model(session, project, wanted)
    return row


def _stands_for(session: Session, project: str, wanted: Wanted) -> int | None:
    alias = session.get(ModelAliasRow, (project, wanted.name, wanted.alias or PRODUCTION))
    if alias is not None or wanted.alias is not None:
        return alias.version if alias else None
    newest = select(func.max(ModelVersionRow.version)).where(ready(project, wanted.name))
    return session.execute(newest).scalar_one_or_none()


def unknown_model(session: Session, project: str, wanted: Wanted) -> UnknownModel:
    """The error that says what there is in place of what was wanted."""
    versions = session.scalars(
        select(ModelVersionRow.version).where(ready(project, wanted.name)).order_by(ModelVersionRow.version.desc())
    ).all()
    if not versions:
        names = session.scalars(select(ModelVersionRow.name).where(ready(project)).distinct()).all()
        message = f"There is no trained model {wanted.name[:80]!r}; there are: {_listed(sorted(names))}."
    elif wanted.alias is not None:
        aliases = session.scalars(select(ModelAliasRow.alias).where(is_model(ModelAliasRow, project, wanted.name)))
        message = f"Model {wanted.name!r} has no alias {wanted.alias!r}; there are: {_listed(sorted(aliases))}."
    else:
        message = f"Model {wanted.name!r} has no version {wanted.version}; there are: {_listed(versions)}."
    at = wanted.version if wanted.version is not None else wanted.alias
    return UnknownModel(message, field="name", received=wanted.name if at is None else f"{wanted.name}@{at}")


def _listed(found: Sequence[object]) -> str:
    shown = [str(each) for each in found[:_NAMES_SHOWN]]
    return ", ".join(shown + ["..."] * (len(found) > _NAMES_SHOWN)) or "none"


def require_family(row: ModelVersionRow, families: Sequence[str]) -> None:
    """Raise InvalidParams unless the version is of one of these families."""
    if row.family not in families:
        raise InvalidParams(
            f"{row.name}@{row.version} is a model of the family {row.family}; this kind of job takes: "
            f"{', '.join(families)}.",
            received=f"{row.name}@{row.version}",
        )


def list_models(
    db: Database, project: str, *, name: str | None = None, after: str = "", limit: int = 100
) -> list[ModelSummary]:
    """Models of the project that have a ready version, by name: those after ``after``, or only the one of ``name``."""
    of, wanted = ModelVersionRow.name, ready(project, name)
    sums = select(of, func.max(ModelVersionRow.version), func.count(), func.sum(ModelVersionRow.bytes))
    query = sums.where(wanted, of > after).group_by(of).order_by(of).limit(limit)
    with db.read() as session:
        found = {row[0]: row for row in session.execute(query)}
        newest = or_(False, *(and_(of == n, ModelVersionRow.version == row[1]) for n, row in found.items()))
        rows = session.scalars(_light().where(ready(project), newest))
        aliases: dict[str, dict[str, int]] = {}
        mine = (ModelAliasRow.project == project, ModelAliasRow.name.in_(found))
        for alias in session.scalars(select(ModelAliasRow).where(*mine).order_by(ModelAliasRow.alias)):
            aliases.setdefault(alias.name, {})[alias.alias] = alias.version
        by_name = {row.name: row for row in rows}
        return [ModelSummary(by_name[n], int(row[2]), int(row[3] or 0), aliases.get(n, {})) for n, row in found.items()]


def get_model(db: Database, project: str, name: str) -> ModelSummary:
    """One model of the project. Raises UnknownModel."""
    found = list_models(db, project, name=name)
    if not found:
        with db.read() as session:
            raise unknown_model(session, project, Wanted(name))
    return found[0]


def list_versions(
    db: Database, project: str, name: str, *, before: int | None = None, limit: int = 100
) -> Sequence[ModelVersionRow]:
    """The model's ready versions without their files, newest first; those older than ``before``."""
    older = [] if before is None else [ModelVersionRow.version < before]
    query = _light().where(ready(project, name), *older).order_by(ModelVersionRow.version.desc())
    with db.read() as session:
        return session.scalars(query.limit(limit)).all()


def find_all(db: Database, project: str, wanted: Sequence[Wanted]) -> list[ModelVersionRow]:
    """As ``find`` for each, in the order asked for."""
    with db.read() as session:
        return [find_in(session, project, each) for each in wanted]


# Serving ------------------------------------------------------------------------------------------------


def servable(db: Database, idle_s: float) -> Sequence[ModelVersionRow]:
    """Versions of all projects that the model server should have: those that may be served and that an alias stands
    for, or that somebody wanted in the last ``idle_s`` seconds."""
    aliased = exists().where(
        is_model(ModelAliasRow, ModelVersionRow.project, ModelVersionRow.name),
        ModelAliasRow.version == ModelVersionRow.version,
    )
    query = select(ModelVersionRow).where(
        ModelVersionRow.state == READY,
        ModelVersionRow.family.in_(SERVED_FAMILIES),
        or_(aliased, ModelVersionRow.wanted_at > now() - idle_s),
    )
    order = (ModelVersionRow.project, ModelVersionRow.name, ModelVersionRow.version)
    with db.read() as session:
        return [row for row in session.scalars(query.order_by(*order)) if may_serve(row.checks or {})]


def seen_serving(db: Database) -> Sequence[ModelVersionRow]:
    """Versions of all projects of which something was last seen at the model server, without their files."""
    with db.read() as session:
        return session.scalars(_light().where(ModelVersionRow.serving.is_not(None))).all()


def want(db: Database, project: str, name: str, version: int) -> None:
    """Note that somebody wants the version to be served now."""
    with db.write() as session:
        session.execute(update(ModelVersionRow).where(_is_version(project, name, version)).values(wanted_at=now()))


def set_serving(
    db: Database, project: str, name: str, version: int, serving: str | None, *, error: str | None = None
) -> None:
    """Note what was last seen of the version at the model server: None (not there), loading, available, failed."""
    values = {"serving": serving, "serving_error": error}
    with db.write() as session:
        session.execute(update(ModelVersionRow).where(_is_version(project, name, version)).values(**values))


# Shared with the modules beside this one ----------------------------------------------------------------


def lock_model(session: Session, project: str, name: str) -> int:
    """Lock the model's row until the transaction ends; its next version's number, 0 where there never was such."""
    query = select(ModelRow.next_version).where(is_model(ModelRow, project, name)).with_for_update()
    return session.execute(query).scalar_one_or_none() or 0


def ready(project: str, name: str | None = None) -> ColumnElement[bool]:
    """Whether the row is a version that can be used, of the project, or of one model of it."""
    mine = and_(ModelVersionRow.project == project, ModelVersionRow.state == READY)
    return mine if name is None else and_(mine, ModelVersionRow.name == name)


def is_model(table: Any, project: Any, name: Any) -> ColumnElement[bool]:
    return and_(table.project == project, table.name == name)


def _is_version(project: str, name: str, version: int) -> ColumnElement[bool]:
    return and_(is_model(ModelVersionRow, project, name), ModelVersionRow.version == version)


def _light() -> Any:
    return select(ModelVersionRow).options(defer(ModelVersionRow.files), defer(ModelVersionRow.facts))
