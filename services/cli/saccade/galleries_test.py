"""Galleries from the command line and the client, over a real gateway."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from saccade.client import Client
from saccade.commands.galleries import receipt_text
from saccade.main import main
from saccade.problems import SaccadeApiError
from saccade_core.galleries import KeptItem, RemovalReceipt, Removed
from saccade_core.ids import new_id
from saccade_core.records import galleries
from saccade_core.records.database import Database
from saccade_core.records.galleries import NewFace
from saccade_gateway.settings import GatewaySettings
from saccade_gateway.testing import NO_REDIS, Served, running


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    url = f"sqlite:///{tmp_path}/saccade.db"
    db = Database(url)
    db.migrate()
    db.close()
    with running(GatewaySettings(database_url=url, redis_url=NO_REDIS, blobs_url=f"file:{tmp_path}/blobs")) as served:
        monkeypatch.setenv("SACCADE_URL", served.url)
        yield served


def _run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["galleries", *arguments])
    assert result.exit_code == status, result.output
    return result


def _enrol(db: Database, *people: str) -> None:
    gallery = galleries.ensure_gallery(db, "default", "staff")
    faces = [
        NewFace(new_id("face"), name, "net@1", b"\0" * 8, {}, "a/b", "a/c", "inputs.a=b", "0", None) for name in people
    ]
    with db.write() as session:
        galleries.add_faces(session, gallery.id, "job_1", faces)


def test_the_life_of_a_gallery(gateway: Served) -> None:
    assert "No galleries." in _run().output
    assert "staff is made." in _run("create", "staff").output
    assert "conflict (409)" in _run("create", "staff", status=1).output
    assert "network: none yet" in _run("show", "staff").output
    assert "Nobody." in _run("people", "staff").output
    _enrol(gateway.db, "Zoë O'Neil", "[bold]Ann", "[bold]Ann")
    assert "2 people, 3 faces, revision 1" in _run("show", "staff").output
    assert "net@1" in _run().output
    assert "[bold]Ann   2" in _run("people", "staff").output
    assert 'Did you mean "Zoë O\'Neil"?' in _run("delete", "staff", "--person", "zoë oneil", status=1).output
    assert "Did you" not in _run("delete", "staff", "--person", "Bob", status=1).output
    assert "Did you" not in _run("delete", "stuff", "--person", "zoë oneil", status=1).output
    told = _run("delete", "staff", "--person", "Zoë O'Neil").output
    assert "Removed Zoë O'Neil from gallery staff" in told
    assert "1 faces, 1 embeddings, 1 crops, 1 photos, 0 uploaded files" in told
    assert "has no person" in _run("delete", "staff", "--person", "Zoë O'Neil", status=1).output
    assert json.loads(_run("--json").output)[0]["people"] == 1
    receipt = json.loads(_run("delete", "staff", "--json").output)
    assert (receipt["person"], receipt["removed"]["faces"]) == (None, 2)
    assert "not_found (404)" in _run("show", "staff", status=1).output


def test_the_receipt_names_the_command_for_jobs() -> None:
    now = datetime.now(UTC)
    kept = [KeptItem(what="job_1", why="it holds the name"), KeptItem(what="file_2", why="a job reads it")]
    gone = Removed(faces=1, embeddings=1, crops=1, photos=1, files=[])
    receipt = RemovalReceipt(gallery="g", person="a", removed=gone, kept=kept, at=now, revision=2)
    assert "Delete these jobs with: saccade delete job_1" in receipt_text(receipt).plain.splitlines()


def test_options_that_would_not_be_heard_are_refused(gateway: Served) -> None:
    assert "after the subcommand" in _run("--json", "show", "staff", status=2).output
    assert "not both" in _run("delete", "staff", "--person", "a", "--face", "b", status=2).output


def test_the_client_gets_all_pages(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [f"Person {number:04d}" for number in range(1001)]
    _enrol(gateway.db, *people)
    with Client(gateway.url) as client:
        assert [person.name for person in client.galleries.people("staff")] == people
        [face] = client.galleries.faces("staff", "Person 0500")
        assert client.galleries.delete("staff", face=face["id"]).person == "Person 0500"
        assert client.galleries.get("staff").people == 1000
        assert [each.name for each in client.galleries.list()] == ["staff"]
        with pytest.raises(SaccadeApiError):
            client.galleries.create("a b")
