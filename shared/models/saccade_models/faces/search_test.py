from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saccade_core.errors import EngineFailed, GalleryModelMismatch
from saccade_core.kind import ModelFiles
from saccade_models.faces.search import FaceIndex
from saccade_models.faces.testing import gallery, people, unit

NETWORK = ModelFiles("mobilefacenet", "1", "", {})


def test_the_nearest_people_are_found_each_once(tmp_path: Path) -> None:
    rows, owners = people(300, 5, seed=1)
    index = FaceIndex(gallery(tmp_path, {f"p{i}": list(rows[owners == i]) for i in range(300)}), NETWORK)
    assert len(index) == 1500
    queries = unit(np.random.default_rng(4).standard_normal((40, 128)))
    for query, found in zip(queries, index.search(queries, 100), strict=True):
        best = sorted(((float((rows[owners == i] @ query).max()), f"p{i}") for i in range(300)), reverse=True)
        assert [c.person for c in found] == [name for _, name in best[:100]]
        assert [c.similarity for c in found] == pytest.approx([value for value, _ in best[:100]], abs=1e-4)


def test_one_person_with_nearly_all_faces_hides_nobody(tmp_path: Path) -> None:
    rows, _ = people(1, 2000, spread=0.2)
    others, _ = people(3, 1, seed=9)
    index = FaceIndex(gallery(tmp_path, {"many": list(rows), "a": [others[0]], "b": [others[1]]}), NETWORK)
    found = index.search(rows[:1], 3)[0]
    assert found[0].person == "many" and found[0].similarity == pytest.approx(1, abs=1e-4)
    assert {c.person for c in found[1:]} == {"a", "b"}
    assert len(index.search(rows[:1], 20)[0]) == 3


def test_an_empty_gallery_knows_nobody(tmp_path: Path) -> None:
    index = FaceIndex(gallery(tmp_path, {}), NETWORK)
    assert len(index) == 0 and index.search(people(2, 1)[0], 3) == [[], []]


def test_faces_of_another_network_are_refused(tmp_path: Path) -> None:
    files = gallery(tmp_path, {"a": [np.ones(128)]}, model="facenet@3")
    with pytest.raises(GalleryModelMismatch, match="facenet@3") as caught:
        FaceIndex(files, NETWORK)
    assert caught.value.field == "params.gallery"


def test_files_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    files = gallery(tmp_path, {"a": [np.ones(128)], "b": [np.ones(128)]})
    for wrong in (replace(files, people=["a"]), replace(files, dimensions=100)):
        with pytest.raises(EngineFailed):
            FaceIndex(wrong, NETWORK)
    files.owners.write_bytes(b"\0\0\0\0")
    with pytest.raises(EngineFailed):
        FaceIndex(files, NETWORK)
