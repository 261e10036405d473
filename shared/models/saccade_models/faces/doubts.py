"""What is doubtful in a gallery: people who look alike, and photos that look like nobody of their name.

Pure functions of embeddings ``(N, D)`` float32, rows of unit length, and ``owners`` ``(N,)``, as in ``calibrate``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from saccade_models.faces.calibrate import Embeddings, Indices, Owners

#: Up to so many faces each is compared with each; in larger galleries people's mean faces are, up to as many people.
MAX_FACES, MAX_PEOPLE = 20_000, 100_000
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Two people: the similarity of their two most alike photos, and of all their photos in the mean."""

    first: int
    second: int
    best: float
    mean: float


@dataclass(frozen=True, slots=True)
class OddPhoto:
    """A face (row of the gallery) whose ``best`` similarity with another photo of its person is too low.

    ``nearest`` is the other person it is most like, with that ``nearest_similarity``; None where there is nobody else.
    """

    row: int
    best: float
    nearest: int | None
    nearest_similarity: float | None


def _no_tick() -> None:
    return


def look_alikes(
    embeddings: Embeddings,
    owners: Owners,
    threshold: float,
    *,
    most: int = 100,
    tick: Callable[[], None] = _no_tick,
) -> list[LookAlikes]:
    """Pairs of people of whom two photos reach ``threshold``, the most alike first, at most ``most``.

    In galleries of more than MAX_FACES the people's mean faces are compared instead: a hint, not the whole truth.
    """
    people, means = _means(embeddings, owners)
    if len(owners) > MAX_FACES:
        people, means = people[:MAX_PEOPLE], means[:MAX_PEOPLE]
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        rows, names = (means / np.maximum(lengths, 1e-6)).astype(np.float32), people
    else:
        rows, names = np.asarray(embeddings), owners
    keys, best = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        tick()
        more_keys, more = _alike(rows, np.searchsorted(people, names), start, threshold, len(people))
        keys, best = _best_of_each(np.concatenate([keys, more_keys]), np.concatenate([best, more]), most)
    found: list[LookAlikes] = []
    for key, value in zip(keys.tolist(), best.tolist(), strict=True):
        a, b = divmod(key, len(people))
        found.append(LookAlikes(int(people[a]), int(people[b]), value, float(means[a] @ means[b])))
    return found


def odd_photos(
    embeddings: Embeddings,
    owners: Owners,
    threshold: float,
    *,
    most: int = 100,
    tick: Callable[[], None] = _no_tick,
) -> list[OddPhoto]:
    """Photos of people with several of which none is as similar as ``threshold``, the oddest first, at most ``most``.

    Of a person with two photos that differ both are odd: which one is wrong cannot be known.
    """
    odd: list[tuple[float, int]] = []
    order = np.argsort(owners, kind="stable")
    _, starts = np.unique(owners[order], return_index=True)
    for number, rows in enumerate(np.split(order, starts[1:])):
        if number % _BLOCK == 0:
            tick()
        if len(rows) > 1:
            best = _best_of_own(embeddings, rows)
            odd += [(float(best[i]), int(rows[i])) for i in np.flatnonzero(best < threshold)]
    odd.sort()
    return [_odd(embeddings, owners, row, best) for best, row in odd[:most]]


def _means(embeddings: Embeddings, owners: Owners) -> tuple[Indices, Embeddings]:
    """The people there are, ascending, and the mean of each one's rows."""
    people, inverse, counts = np.unique(owners, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    sums = np.add.reduceat(np.asarray(embeddings)[order], starts) if len(people) else np.asarray(embeddings)
    return people.astype(np.int64), (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)


def _alike(rows: Embeddings, places: Indices, start: int, threshold: float, people: int) -> tuple[Indices, Embeddings]:
    """A block of rows against itself and all later ones: keys (two people's places as one number) and similarities
    of those that reach ``threshold``."""
    similarities = rows[start : start + _BLOCK] @ rows[start:].T
    here, later = places[start : start + _BLOCK], places[start:]
    i, j = np.nonzero((similarities >= threshold) & (here[:, None] != later[None, :]))
    low, high = np.minimum(here[i], later[j]), np.maximum(here[i], later[j])
    return low * people + high, similarities[i, j]


def _best_of_each(keys: Indices, values: Embeddings, most: int) -> tuple[Indices, Embeddings]:
    """Each key once with its greatest value; the ``most`` greatest, descending."""
    order = np.lexsort((keys, -values))
    keys, values = keys[order], values[order]
    first = np.sort(np.unique(keys, return_index=True)[1])[:most]
    return keys[first], values[first]


def _best_of_own(embeddings: Embeddings, rows: Indices) -> Embeddings:
    """Each of a person's rows' greatest similarity with another of them."""
    own = embeddings[rows]
    found = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        similarities = own[start : start + _BLOCK] @ own.T
        at = np.arange(len(similarities))
        similarities[at, start + at] = -1.0
        found[start : start + _BLOCK] = similarities.max(axis=1)
    return found


def _odd(embeddings: Embeddings, owners: Owners, row: int, best: float) -> OddPhoto:
    similarities = embeddings @ embeddings[row]
    similarities[owners == owners[row]] = -2.0
    nearest = int(np.argmax(similarities))
    if similarities[nearest] < -1.5:
        return OddPhoto(row, best, None, None)
    return OddPhoto(row, best, int(owners[nearest]), float(similarities[nearest]))
