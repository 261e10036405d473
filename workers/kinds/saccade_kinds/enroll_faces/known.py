"""A new photo held against what the gallery, and this job before it, know already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade_models.faces.embed import THRESHOLD
from saccade_models.faces.search import FaceIndex

#: A photo this similar to one of the same person is that photo again: it would teach nothing, and flatter figures.
_SAME_PHOTO = 0.995

Vector = NDArray[np.float32]


class Known:
    """Faces of ``person`` and of the others."""

    def __init__(self, index: FaceIndex, person: str) -> None:
        self._index, self._person = index, person
        own = index.files.people.index(person) if person in index.files.people else -1
        self._own: list[Vector] = [np.asarray(row) for row in index.embeddings[index.owners == own]]

    def add(self, embedding: Vector) -> None:
        """A face of the person, enrolled in this job."""
        self._own.append(embedding)

    def refusals(self, embedding: Vector) -> list[str]:
        """Why the photo is not wanted, in words."""
        return ["this photo of the person is in the gallery already"] if self._best(embedding) >= _SAME_PHOTO else []

    def doubts(self, embedding: Vector) -> list[str]:
        """What is suspicious about the photo, in words."""
        found: list[str] = []
        best = self._best(embedding)
        if self._own and best < THRESHOLD:
            found.append(f"does not look like the other photos of {self._person} (similarity at most {best:.2f})")
        found.extend(
            f"looks like {other.person} (similarity {other.similarity:.2f})"
            for other in self._index.search(embedding[None], 2)[0]
            if other.person != self._person and other.similarity >= THRESHOLD
        )
        return found

    def _best(self, embedding: Vector) -> float:
        """The greatest similarity with a known face of the person; -1 without any."""
        return float((np.stack(self._own) @ embedding).max()) if self._own else -1.0
