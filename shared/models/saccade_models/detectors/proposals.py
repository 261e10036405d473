"""Region proposals: boxes that may hold a thing of any class, from colours and texture alone.

Selective search (Uijlings, van de Sande, Gevers, Smeulders: Selective Search for Object Recognition, IJCV 2013),
small: the picture is cut into regions of like colour (Felzenszwalb, Huttenlocher: Efficient Graph-Based Image
Segmentation, IJCV 2004), and the two most similar neighbours are merged until one is left. Each region that ever
was gives its box. Several starting segmentations make up for what one of them misses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_models.images import Pixels

Labels: TypeAlias = NDArray[np.int64]
Boxes: TypeAlias = NDArray[np.float32]
Histogram: TypeAlias = NDArray[np.float64]

#: Bins of a colour channel and of a gradient's direction.
COLOR_BINS, DIRECTION_BINS = 16, 8


@dataclass(frozen=True, slots=True)
class Search:
    """How a picture is searched: ``max_side`` pixels of its longer side (it is made smaller before); segments for
    each of ``scales`` (Felzenszwalb's k, in grey levels: larger gives larger regions) of at least ``min_size``
    pixels; boxes with a side under ``min_side`` pixels of the small picture are dropped, of the rest at most
    ``limit``, the largest regions' first."""

    max_side: int = 200
    scales: tuple[float, ...] = (40.0, 120.0, 300.0)
    min_size: int = 12
    min_side: int = 4
    limit: int = 1000


def propose(picture: Pixels, search: Search | None = None) -> Boxes:
    """(N, 4) float32 boxes ``x1, y1, x2, y2`` in pixels of ``picture``, (H, W, 3) uint8 BGR; each box once."""
    search = search or Search()
    height, width = picture.shape[:2]
    factor = min(1.0, search.max_side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), dtype=np.uint8)
    found = [box for k in search.scales for box in group(segment(lab, k, search.min_size), lab)]
    found.sort(key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))
    kept = [b for b in dict.fromkeys(found) if min(b[2] - b[0], b[3] - b[1]) >= search.min_side][: search.limit]
    to_picture = np.array([width / size[0], height / size[1]] * 2)
    return (np.array(kept, dtype=np.float64).reshape(-1, 4) * to_picture).astype(np.float32)


def segment(picture: Pixels, k: float, min_size: int) -> Labels:
    """(H, W) region numbers from 0 of a picture (H, W, 3), by Felzenszwalb and Huttenlocher's graph algorithm.

    Edges join each pixel with its 4 neighbours, weighted by the distance of their colours after a slight blur. An
    edge joins two regions when it is no heavier than the heaviest inside each of them plus ``k`` / its pixels.
    """
    height, width = picture.shape[:2]
    ends_a, ends_b, weights = _edges(cv2.GaussianBlur(picture, (0, 0), 0.8).astype(np.float64))
    forest = _Forest(height * width)
    for a, b, weight in zip(ends_a, ends_b, weights, strict=True):
        one, other = forest.root(a), forest.root(b)
        if one != other and weight <= min(
            forest.heaviest[one] + k / forest.size[one], forest.heaviest[other] + k / forest.size[other]
        ):
            forest.join(one, other, weight)
    for a, b, weight in zip(ends_a, ends_b, weights, strict=True):
        one, other = forest.root(a), forest.root(b)
        if one != other and min(forest.size[one], forest.size[other]) < min_size:
            forest.join(one, other, weight)
    roots = [forest.root(pixel) for pixel in range(height * width)]
    return np.unique(roots, return_inverse=True)[1].reshape(height, width).astype(np.int64)


def _edges(picture: NDArray[np.float64]) -> tuple[list[int], list[int], list[float]]:
    """Both pixels of each edge and its weight, lightest first (of equal ones in reading order)."""
    numbers = np.arange(picture.shape[0] * picture.shape[1]).reshape(picture.shape[:2])
    right = np.linalg.norm(picture[:, 1:] - picture[:, :-1], axis=2).ravel()
    down = np.linalg.norm(picture[1:] - picture[:-1], axis=2).ravel()
    weights = np.concatenate([right, down])
    ends_a = np.concatenate([numbers[:, :-1].ravel(), numbers[:-1].ravel()])
    ends_b = np.concatenate([numbers[:, 1:].ravel(), numbers[1:].ravel()])
    order = np.argsort(weights, kind="stable")
    return ends_a[order].tolist(), ends_b[order].tolist(), weights[order].tolist()


class _Forest:
    """Disjoint sets of pixels; ``size`` and ``heaviest`` edge of each set, valid at its root."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))
        self.size = [1] * count
        self.heaviest = [0.0] * count

    def root(self, node: int) -> int:
        parent = self.parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(self, one: int, other: int, weight: float) -> None:
        if self.size[one] < self.size[other]:
            one, other = other, one
        self.parent[other] = one
        self.size[one] += self.size[other]
        self.heaviest[one] = max(self.heaviest[one], self.heaviest[other], weight)


@dataclass(slots=True)
class _Region:
    """``box`` x1, y1, x2, y2 (ends not part of it); histograms sum to 1; ``neighbours`` with the similarity to each."""

    size: int
    box: tuple[int, int, int, int]
    colors: Histogram
    texture: Histogram
    neighbours: dict[int, float] = field(default_factory=dict[int, float])


def group(labels: Labels, picture: Pixels) -> list[tuple[int, int, int, int]]:
    """Boxes of the regions of ``labels`` (H, W) and of all that come from merging the most similar neighbours.

    Similarity is Uijlings' sum of four: colour and texture (histogram intersection), size and fill (small regions
    first, and those that fit into each other).
    """
    regions = _regions(labels, picture)
    pixels = labels.size
    for a, b in _touching(labels):
        regions[a].neighbours[b] = regions[b].neighbours[a] = _similarity(regions[a], regions[b], pixels)
    boxes = [region.box for region in regions.values()]
    best = {number: _best(region) for number, region in regions.items()}
    number = len(regions)
    while len(regions) > 1:
        a = max(best, key=lambda n: best[n][0])
        b = best[a][1]
        merged, stale = _merge(regions, best, a, b), set[int]()
        for other in merged.neighbours:
            neighbour = regions[other]
            neighbour.neighbours.pop(a, None)
            neighbour.neighbours.pop(b, None)
            merged.neighbours[other] = neighbour.neighbours[number] = _similarity(merged, neighbour, pixels)
            stale.add(other)
        regions[number] = merged
        best.update({n: _best(regions[n]) for n in (*stale, number)})
        boxes.append(merged.box)
        number += 1
    return boxes


def _best(region: _Region) -> tuple[float, int]:
    """The most similar neighbour: similarity, number; (-1, -1) where there is none."""
    return max(((s, n) for n, s in region.neighbours.items()), default=(-1.0, -1))


def _merge(regions: dict[int, _Region], best: dict[int, tuple[float, int]], a: int, b: int) -> _Region:
    """Take two regions out and give their union; its similarities are still to be computed."""
    one, other = regions.pop(a), regions.pop(b)
    del best[a], best[b]
    size = one.size + other.size
    return _Region(
        size=size,
        box=_around(one.box, other.box),
        colors=(one.colors * one.size + other.colors * other.size) / size,
        texture=(one.texture * one.size + other.texture * other.size) / size,
        neighbours=dict.fromkeys(sorted((one.neighbours.keys() | other.neighbours.keys()) - {a, b}), 0.0),
    )


def _similarity(a: _Region, b: _Region, pixels: int) -> float:
    x1, y1, x2, y2 = _around(a.box, b.box)
    colors = float(np.minimum(a.colors, b.colors).sum())
    texture = float(np.minimum(a.texture, b.texture).sum())
    size = 1 - (a.size + b.size) / pixels
    fill = 1 - ((x2 - x1) * (y2 - y1) - a.size - b.size) / pixels
    return colors + texture + size + fill


def _around(a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _touching(labels: Labels) -> Iterator[tuple[int, int]]:
    """Pairs of regions with a common border, each once."""
    beside = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()])
    below = np.stack([labels[:-1].ravel(), labels[1:].ravel()])
    pairs = np.sort(np.hstack([beside, below]), axis=0)
    yield from np.unique(pairs[:, pairs[0] != pairs[1]], axis=1).T.tolist()


def _regions(labels: Labels, picture: Pixels) -> dict[int, _Region]:
    count = int(labels.max()) + 1
    flat = labels.ravel()
    sizes = np.bincount(flat, minlength=count)
    colors = _histograms(flat, count, picture.reshape(-1, 3) // (256 // COLOR_BINS), COLOR_BINS)
    texture = _histograms(flat, count, _directions(picture).reshape(-1, 3), DIRECTION_BINS + 1)
    rows, columns = np.indices(labels.shape)
    corners = np.zeros((count, 4), dtype=np.int64)
    corners[:, :2] = max(labels.shape)
    np.minimum.at(corners[:, 0], flat, columns.ravel())
    np.minimum.at(corners[:, 1], flat, rows.ravel())
    np.maximum.at(corners[:, 2], flat, columns.ravel() + 1)
    np.maximum.at(corners[:, 3], flat, rows.ravel() + 1)
    return {
        n: _Region(int(sizes[n]), (x1, y1, x2, y2), colors[n], texture[n])
        for n, (x1, y1, x2, y2) in enumerate(corners.tolist())
    }


def _histograms(flat: Labels, count: int, bins: NDArray[np.integer], size: int) -> Histogram:
    """(regions, channels * size): each region's share of pixels in each bin of each channel; each row sums to 1."""
    parts = [
        np.bincount(flat * size + bins[:, channel], minlength=count * size).reshape(count, size)
        for channel in range(bins.shape[1])
    ]
    joined = np.hstack(parts).astype(np.float64)
    return joined / joined.sum(axis=1, keepdims=True)


def _directions(picture: Pixels) -> NDArray[np.int64]:
    """(H, W, 3): each channel's direction of gradient as a bin, the last bin where the picture is flat."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength, angle = np.hypot(across, down), np.arctan2(down, across)
    bins = ((angle + np.pi) / (2 * np.pi) * DIRECTION_BINS).astype(np.int64) % DIRECTION_BINS
    return np.where(strength < 16, DIRECTION_BINS, bins)
