from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from saccade_worker.gallery_messages import read_gallery


def _message(folder: Path, revision: int, people: list[str], gallery: str = "gallery_0") -> dict[str, Any]:
    """What the worker tells of a snapshot; each run has its own files."""
    folder.mkdir(exist_ok=True)
    (folder / "people.json").write_text(json.dumps(people), "utf-8")
    files = {name: str(folder / name) for name in ("embeddings", "owners", "faces")} | {
        "people": str(folder / "people.json")
    }
    return {"id": gallery, "name": "staff", "revision": revision, "model": "net@1", "dimensions": 2, **files}


def test_names_are_parsed_once_for_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def loads(data: bytes) -> Any:
        parsed.append(data)
        return json.JSONDecoder().decode(data.decode())

    monkeypatch.setattr(json, "loads", loads)
    first = read_gallery(_message(tmp_path / "a", 1, ["Ann", "Zoë"]))
    again = read_gallery(_message(tmp_path / "b", 1, ["Ann", "Zoë"]))
    assert list(first.people) == list(again.people) == ["Ann", "Zoë"]
    assert (len(parsed), again.owners) == (1, tmp_path / "b" / "owners")


def test_only_the_last_gallerys_names_are_kept(tmp_path: Path) -> None:
    asked = [("gallery_1", 1, "Ann"), ("gallery_1", 2, "Ben"), ("gallery_2", 2, "Cleo"), ("gallery_1", 1, "Dora")]
    for gallery, revision, person in asked:
        found = read_gallery(_message(tmp_path / "a", revision, [person], gallery))
        assert list(found.people) == [person]
