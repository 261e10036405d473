"""Which similarity makes two faces one person's: thresholds from a gallery's own photos.

Pure functions of embeddings ``(N, D)`` float32, rows of unit length, and ``owners`` ``(N,)``, each face's person.
Genuine pairs are two photos of one person, impostor pairs of two. From a threshold on a pair is accepted as one
person: the false-accept rate is the share of impostor pairs that are, the false-reject rate that of genuine pairs
that are not (ISO/IEC 19795-1 calls these, of comparisons, FMR and FNMR).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Embeddings: TypeAlias = NDArray[np.float32]
Owners: TypeAlias = NDArray[np.uint32]
Indices: TypeAlias = NDArray[np.int64]

#: No more pairs of each sort are looked at; of more, so many are drawn at random (with a fixed seed).
MAX_PAIRS = 2_000_000
_CHUNK = 65_536
_CURVE = np.arange(-20, 101, 2) / 100


def _no_tick() -> None:
    return


@dataclass(frozen=True, slots=True)
class Pairs:
    """Similarities of pairs, ascending; ``sampled``: there were more than were looked at."""

    genuine: NDArray[np.float32]
    impostor: NDArray[np.float32]
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold does. A rate is None where there are no pairs to tell it from."""

    threshold: float
    false_accept_rate: float | None
    false_reject_rate: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """``point`` is the threshold for the rate that was asked for; ``notes`` say how far to trust it."""

    point: Point
    genuine_pairs: int
    impostor_pairs: int
    curve: list[Point]
    notes: list[str]


def pairs(
    embeddings: Embeddings,
    owners: Owners,
    *,
    limit: int = MAX_PAIRS,
    seed: int = 0,
    tick: Callable[[], None] = _no_tick,
) -> Pairs:
    """All pairs of faces, or ``limit`` of each sort; ``tick`` is called between chunks and may raise."""
    random = np.random.default_rng(seed)
    counts = np.unique(owners, return_counts=True)[1].astype(np.int64)
    total = len(owners) * (len(owners) - 1) // 2
    genuine_total = int((counts * (counts - 1) // 2).sum())
    genuine = _genuine(owners, genuine_total, limit, random)
    impostor = _impostor(owners, total - genuine_total, limit, random)
    return Pairs(
        genuine=np.sort(_similarities(embeddings, *genuine, tick)),
        impostor=np.sort(_similarities(embeddings, *impostor, tick)),
        sampled=max(genuine_total, total - genuine_total) > limit,
    )


def point(found: Pairs, threshold: float) -> Point:
    """Both rates at ``threshold``."""
    return Point(
        threshold=threshold,
        false_accept_rate=_share(len(found.impostor) - _below(found.impostor, threshold), len(found.impostor)),
        false_reject_rate=_share(_below(found.genuine, threshold), len(found.genuine)),
    )


def threshold_for(impostor: NDArray[np.float32], rate: float) -> float:
    """The least threshold (to 4 decimals) at which at most ``rate`` of the impostor pairs, ascending, are accepted."""
    allowed = math.floor(rate * len(impostor) + 1e-9)
    if allowed >= len(impostor):
        return -1.0
    highest_refused = float(impostor[len(impostor) - 1 - allowed])
    return min(1.0, math.floor(highest_refused * 1e4 + 1) / 1e4)


def calibrate(found: Pairs, rate: float, fallback: float) -> Calibration:
    """The threshold for a false-accept rate of ``rate``.

    Without false accepts in n independent pairs the true rate is, at 95 % confidence, no more than 3 / n (rule of
    three). So where there are fewer than 3 / ``rate`` impostor pairs, the pairs cannot vouch for the rate, and the
    threshold is not set below ``fallback``, the model's own.
    """
    number, notes = len(found.impostor), list[str]()
    threshold = threshold_for(found.impostor, rate) if number else fallback
    needed = math.ceil(3 / rate - 1e-9)
    if number < needed:
        threshold = max(threshold, fallback)
        notes.append(
            f"{number:,} pairs of different people are too few to vouch for a false-accept rate of {rate:g}, which "
            f"needs {needed:,}; so the threshold is no lower than the model's own {fallback:g}."
        )
    if number and point(found, threshold).false_accept_rate == 0:
        notes.append(
            f"No pair was accepted falsely: at 95 % confidence the true rate is below {min(1, 3 / number):.2g}."
        )
    if not len(found.genuine):
        notes.append("No person has two photos, so the false-reject rate is not known.")
    if found.sampled:
        notes.append(f"Of the gallery's pairs, at most {MAX_PAIRS:,} of each sort were looked at, drawn at random.")
    return Calibration(
        point=point(found, threshold),
        genuine_pairs=len(found.genuine),
        impostor_pairs=number,
        curve=[point(found, float(t)) for t in _CURVE],
        notes=notes,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _below(ascending: NDArray[np.float32], threshold: float) -> int:
    return int(np.searchsorted(ascending.astype(np.float64), threshold, side="left"))


def _genuine(owners: Owners, total: int, limit: int, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Pairs of faces of one owner: in the owners' order, neighbours at distance 1, 2, ..."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    if total > limit:
        return _drawn_genuine(order, ordered, limit, random)
    first: list[Indices] = []
    second: list[Indices] = []
    for distance in range(1, len(order)):
        at = np.flatnonzero(ordered[:-distance] == ordered[distance:])
        if not len(at):  # nobody has more photos than that
            break
        first.append(order[at])
        second.append(order[at + distance])
    return _joined(first), _joined(second)


def _drawn_genuine(order: Indices, ordered: Owners, limit: int, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Random pairs: an owner by the number of its pairs, then two of its faces."""
    _, starts, counts = np.unique(ordered, return_index=True, return_counts=True)
    weights = counts * (counts - 1.0)
    chosen = random.choice(len(counts), limit, p=weights / weights.sum())
    one = random.integers(0, counts[chosen])
    other = (one + random.integers(1, counts[chosen])) % counts[chosen]
    return order[starts[chosen] + one], order[starts[chosen] + other]


def _impostor(owners: Owners, total: int, limit: int, random: np.random.Generator) -> tuple[Indices, Indices]:
    if total <= 0:
        return _joined([]), _joined([])
    if len(owners) * (len(owners) - 1) // 2 <= 2 * limit:
        first, second = np.triu_indices(len(owners), 1)
    else:  # of more draws than are wanted, those of one owner are left out
        first, second = random.integers(0, len(owners), (2, 2 * limit))
    differ = owners[first] != owners[second]
    first, second = first[differ], second[differ]
    if len(first) > limit:
        kept = random.choice(len(first), limit, replace=False)
        first, second = first[kept], second[kept]
    return first, second


def _joined(parts: list[Indices]) -> Indices:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _similarities(
    embeddings: Embeddings, first: Indices, second: Indices, tick: Callable[[], None]
) -> NDArray[np.float32]:
    found = np.zeros(len(first), dtype=np.float32)
    for start in range(0, len(first), _CHUNK):
        tick()
        here = slice(start, start + _CHUNK)
        found[here] = np.einsum("ij,ij->i", embeddings[first[here]], embeddings[second[here]])
    return found
