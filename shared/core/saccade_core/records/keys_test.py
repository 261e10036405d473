from __future__ import annotations

import pytest
from sqlalchemy import select

from saccade_core.errors import InvalidRequest, NotFound
from saccade_core.records.database import Database
from saccade_core.records.keys import admit_key, any_key, find_key, list_keys, make_key, revoke_key
from saccade_core.records.tables import KeyRow


def test_a_key_is_found_by_its_secret_alone(db: Database) -> None:
    assert not any_key(db)
    row, secret = make_key(db, project="p", role="submit", name="laptop")
    other, _ = make_key(db, project="q", role="read")
    found = find_key(db, secret)
    assert found is not None
    assert (found.id, found.project, found.role, found.name) == (row.id, "p", "submit", "laptop")
    for wrong in ("", "sk_", secret[:-1], secret + "x", row.hash, row.id):
        assert find_key(db, wrong) is None
    assert any_key(db)
    assert [key.id for key in list_keys(db)] == sorted([row.id, other.id])


def test_the_secret_is_not_stored(db: Database) -> None:
    _, secret = make_key(db, project="p", role="admin")
    with db.read() as session:
        row = session.scalars(select(KeyRow)).one()
    assert all(secret not in str(getattr(row, column.name)) for column in KeyRow.__table__.columns)
    assert len(secret) > 40


def test_a_revoked_key_opens_nothing(db: Database) -> None:
    row, secret = make_key(db, project="p", role="read")
    revoke_key(db, row.id)
    assert find_key(db, secret) is None
    assert any_key(db)
    with pytest.raises(NotFound):
        revoke_key(db, "key_none")


def test_roles_are_known_ones(db: Database) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_key(db, project="p", role="root")
    assert (caught.value.field, caught.value.received) == ("role", "root")


@pytest.mark.parametrize("project", ["", "A", "a b", "-a", "_a", "a/b", "a\n", "ä", "a" * 64])
def test_a_projects_name_has_a_rule(db: Database, project: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 63 lower-case letters") as caught:
        make_key(db, project=project, role="read")
    assert (caught.value.field, caught.value.received) == ("project", project)
    assert not any_key(db)


@pytest.mark.parametrize("project", ["0", "a", "team-1_b", "a" * 63])
def test_a_project_may_be_called(db: Database, project: str) -> None:
    assert make_key(db, project=project, role="read")[0].project == project


def test_a_key_that_was_made_elsewhere_is_admitted_once_and_for_all(db: Database) -> None:
    secret = "sk_" + "a" * 40
    admit_key(db, secret, name="SACCADE_ADMIN_KEY")
    admit_key(db, secret, name="SACCADE_ADMIN_KEY")
    found = find_key(db, secret)
    assert found is not None
    assert (found.project, found.role, found.name) == ("default", "admin", "SACCADE_ADMIN_KEY")
    revoke_key(db, found.id)
    assert find_key(db, secret) is None
    admit_key(db, secret, name="SACCADE_ADMIN_KEY")
    assert find_key(db, secret) is not None
    with pytest.raises(InvalidRequest, match="32 or more"):
        admit_key(db, "sk_short", name="SACCADE_ADMIN_KEY")
