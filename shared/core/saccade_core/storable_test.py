from __future__ import annotations

import json

import pytest

from saccade_core.errors import WorkerLost
from saccade_core.records import leases
from saccade_core.records.database import Database
from saccade_core.storable import storable
from servers.records import accepted, claimed, record

NASTY = {"te\0xt": ["a\0b", "\ud800c", "\U0001f600"], "numbers": [float("nan"), float("inf"), -float("inf"), 1.5, 2]}
CLEAN = {"text": ["ab", "\ufffdc", "\U0001f600"], "numbers": [None, None, None, 1.5, 2]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(NASTY, CLEAN), ([NASTY, (True, None)], [CLEAN, [True, None]]), ("\0", ""), (float("nan"), None), ({}, {})],
)
def test_what_no_database_takes_is_taken_out(value: object, expected: object) -> None:
    assert storable(value) == expected
    assert json.dumps(storable(value), allow_nan=False).encode("utf-8")


def test_what_runners_say_is_recorded_whatever_it_is(db: Database) -> None:
    held = claimed(db, accepted(db).id)
    leases.heartbeat(db, held.id, held.token, NASTY)
    assert record(db, held.id).progress == CLEAN
    leases.fail(db, held, WorkerLost("It said \0 and \ud800."))
    error = record(db, held.id).error
    assert error is not None
    assert error["message"] == "It said  and \ufffd."
    held = claimed(db, held.id)
    leases.succeed(db, held.id, held.token, result=NASTY, artifacts=[], provenance=NASTY, progress=NASTY)
    row = record(db, held.id)
    assert [row.result, row.provenance, row.progress] == [CLEAN] * 3
