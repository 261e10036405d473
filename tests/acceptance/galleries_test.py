"""Every command of docs/galleries.md, run as it stands there, and what it says of a deletion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from saccade.problems import SaccadeApiError
from servers.asking import finished, result_of
from servers.stack import Stack

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "galleries.md").read_text("utf-8")
SAMPLES = ROOT / "workers/kinds/saccade_kinds/recognize_faces/sample"


def test_shell_commands(stack: Stack) -> None:
    """In one shell, in the order of the page; the first failure ends it."""
    lines = re.findall(r"^saccade .*$", PAGE, re.MULTILINE)
    assert len(lines) == 9
    env = {**os.environ, "SACCADE_URL": stack.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = "\n".join(["set -eux", *lines])
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "visitors: 2 people, 2 faces" in done.stdout
    assert "Removed Eileen Collins from gallery visitors" in done.stdout
    assert "Removed everybody from gallery visitors" in done.stdout


def test_a_deleted_person_is_not_known_any_more(stack: Stack) -> None:
    names = {"Eileen Collins": "astronaut.jpg", "Grace Hopper": "hopper.jpg"}
    uploads: dict[str, str] = {}
    for person, photo in names.items():
        job = finished(stack, "enroll_faces", {"images": [SAMPLES / photo]}, gallery="deleting", person=person)
        uploads[person] = job.inputs["images"][0]

    def known() -> str | None:
        asked = finished(stack, "recognize_faces", {"media": SAMPLES / "astronaut-again.jpg"}, gallery="deleting")
        return result_of(asked)["faces"][0]["person"]

    galleries = stack.client.galleries
    assert known() == "Eileen Collins"
    [face] = galleries.faces("deleting", "Eileen Collins")
    assert stack.client.get(f"/v1/files/{uploads['Eileen Collins']}")["id"] in face["source"]
    receipt = galleries.delete("deleting", person="Eileen Collins")
    assert (receipt.removed.faces, receipt.removed.crops, receipt.removed.photos) == (1, 1, 1)
    assert receipt.removed.files == [uploads["Eileen Collins"]]
    assert known() is None
    with pytest.raises(SaccadeApiError, match="no file"):
        stack.client.get(f"/v1/files/{uploads['Eileen Collins']}")
    assert [person.name for person in galleries.people("deleting")] == ["Grace Hopper"]
    store = Path(stack.data_dir)
    assert not list(store.rglob(face["id"])), "pictures are left"
    galleries.delete("deleting")
