"""Exact search in a gallery: every face is compared (docs/decisions/0010-face-search.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import EngineFailed, GalleryModelMismatch
from saccade_core.kind import GalleryFiles, ModelFiles

Vectors: TypeAlias = NDArray[np.float32]

#: So many queries are held against the gallery at once; each takes 4 bytes of memory for each face.
_QUERIES = 16
#: The best so many faces are looked at first; mostly they hold enough different people.
_FIRST_LOOK = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person, and the cosine similarity (-1..1) of their most similar face."""

    person: str
    similarity: float


class FaceIndex:
    """A gallery's faces: ``embeddings`` (N, D) float32 and ``owners`` (N,) uint32, mapped into memory, so that
    processes of one machine share them.

    Raises GalleryModelMismatch where the faces were measured with another network than ``model``, and EngineFailed
    where the files do not belong together.
    """

    def __init__(self, files: GalleryFiles, model: ModelFiles, field: str = "params.gallery") -> None:
        self.files = files
        self.embeddings = _mapped(files, model, field)
        self.owners: NDArray[np.uint32] = np.fromfile(files.owners, dtype=np.uint32)
        known = len(files.people)
        if len(self.owners) != len(self.embeddings) or (len(self.owners) and int(self.owners.max()) >= known):
            raise EngineFailed(f"The files of gallery {files.name!r} do not belong together.", received=files.revision)

    def __len__(self) -> int:
        return len(self.embeddings)

    def search(self, queries: Vectors, people: int) -> list[list[Candidate]]:
        """For each of ``queries`` (Q, D), rows of unit length, the ``people`` most similar people, best first."""
        if not len(self):
            return [[] for _ in queries]
        found: list[list[Candidate]] = []
        for start in range(0, len(queries), _QUERIES):
            similarities = np.asarray(queries[start : start + _QUERIES], dtype=np.float32) @ self.embeddings.T
            found += [self._best(row, people) for row in similarities]
        return found

    def _best(self, similarities: Vectors, people: int) -> list[Candidate]:
        """People by their best face. The best faces' people are the best people, so a few faces are enough."""
        look = _FIRST_LOOK
        while True:
            faces = _top(similarities, look)
            owners = self.owners[faces]
            _, first = np.unique(owners, return_index=True)
            if len(first) >= people or look >= len(similarities):
                best = faces[np.sort(first)[:people]]
                return [
                    Candidate(self.files.people[int(self.owners[i])], round(float(similarities[i]), 4)) for i in best
                ]
            look *= 8


def _top(similarities: Vectors, count: int) -> NDArray[np.int64]:
    """Indices of the greatest ``count`` values, best first; of equal ones the lower index."""
    if count < len(similarities):
        found = np.sort(np.argpartition(similarities, len(similarities) - count)[-count:])
    else:
        found = np.arange(len(similarities))
    return found[np.argsort(-similarities[found], kind="stable")]


def _mapped(files: GalleryFiles, model: ModelFiles, field: str) -> Vectors:
    made_with, ours = files.model, f"{model.name}@{model.version}"
    bytes_ = files.embeddings.stat().st_size
    if not bytes_:  # an empty file cannot be mapped, and an empty gallery may not know its model yet
        return np.zeros((0, max(1, files.dimensions)), dtype=np.float32)
    if made_with != ours:
        raise GalleryModelMismatch(
            f"The faces of gallery {files.name!r} were measured with {made_with}; here is {ours}. Enrol them again.",
            field=field,
            received=files.name,
        )
    if files.dimensions < 1 or bytes_ % (4 * files.dimensions):
        raise EngineFailed(f"The files of gallery {files.name!r} do not belong together.", received=files.revision)
    return np.asarray(np.memmap(files.embeddings, dtype=np.float32, mode="r")).reshape(-1, files.dimensions)
