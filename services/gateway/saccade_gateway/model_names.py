"""The models that a request names: those of the project's that it uses, and the one that it will register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from sqlalchemy.orm import Session

from saccade_core.errors import InvalidParams, InvalidRequest, UnknownModel, UnknownModelName
from saccade_core.kind import Kind
from saccade_core.records import model_uses, models
from saccade_core.records.database import Database
from saccade_core.records.tables import JobRow
from saccade_core.trained import Wanted, field_of
from saccade_models.weights import name_is_taken, trained_wanted


@dataclass(frozen=True, slots=True)
class UsedModels:
    """Trained models that a job names, by the field that names them."""

    db: Database
    wanted: Mapping[str, Wanted]

    def hold(self, session: Session, job: JobRow) -> None:
        """Keep them while the job has not ended; UnknownModelName where one was deleted a moment ago."""
        for field, wanted in self.wanted.items():
            try:
                model_uses.hold(self.db, session, job.project, job.id, wanted)
            except UnknownModel as error:
                raise _unknown(error, field) from error


def check_models(db: Database, project: str, kind: Kind, params: BaseModel) -> UsedModels:
    """What the params name of trained models. Raises UnknownModelName where the project has not got one,
    InvalidRequest for one that the kind cannot run, and for a new model's name that is taken."""
    new = kind.registers(params)
    if new is not None and name_is_taken(new):
        message = f"{new!r} is the name of registered weights; give your model another."
        raise InvalidRequest(message, field=field_of(params, new), received=new)
    wanted: dict[str, Wanted] = {}
    for name in kind.models(params) if kind.families else ():
        field = field_of(params, name)
        try:
            each = trained_wanted(kind, name)
            if each is not None:
                models.require_family(models.find(db, project, each), kind.families)
                wanted[field] = each
        except UnknownModel as error:
            raise _unknown(error, field) from error
        except InvalidParams as error:
            raise InvalidRequest(error.message, field=field, received=error.received) from error
    return UsedModels(db, wanted)


def _unknown(error: UnknownModel, field: str) -> UnknownModelName:
    return UnknownModelName(error.message, field=field, received=error.received)
