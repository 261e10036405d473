"""Template matching by normalised correlation, over scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_core.kind import InputFile
from saccade_models.images import Pixels, to_gray

#: Two matches that share more of their area (intersection over union) are one.
MAX_OVERLAP = 0.3
#: No more peaks of one scale are looked at, the best first: suppression compares them with each other.
MAX_PEAKS = 20_000
#: Variance of 8-bit grey values below which a place is flat: its correlation is rounding noise over nearly 0.
FLAT_VARIANCE = 0.25


@dataclass(frozen=True, slots=True)
class Match:
    """A place: ``box`` [x1, y1, x2, y2] in pixels, and its correlation coefficient 0..1."""

    box: tuple[int, int, int, int]
    score: float


def scaled_templates(template: Pixels, scales: Sequence[float], shape: Sequence[int], file: InputFile) -> list[Pixels]:
    """The BGR template at each scale that fits into a picture of ``shape``.

    Raises InvalidParams where none fits, and where the template is of one colour (nothing to correlate with).
    """
    height, width = template.shape[:2]
    if not _has_texture(template):
        raise InvalidParams(
            "The template is of one colour; correlation needs some texture.",
            field=file.field,
            received=f"{width}x{height}",
        )
    sizes = [(max(1, round(width * s)), max(1, round(height * s))) for s in dict.fromkeys(scales)]
    fitting = [size for size in sizes if size[0] <= shape[1] and size[1] <= shape[0]]
    if not fitting:
        raise InvalidParams(
            f"The template must not be larger than the picture, which is {shape[1]}x{shape[0]}; "
            f"at the smallest scale it is {min(sizes)[0]}x{min(sizes)[1]}.",
            field=file.field,
            received=f"{width}x{height}",
        )
    resized = [_resized(template, size) for size in fitting]
    textured = [t for t in resized if _has_texture(t)]
    if not textured:
        raise InvalidParams(
            "At these scales nothing is left of the template's texture.", field="params.scales", received=list(scales)
        )
    return textured


def candidates(image: Pixels, template: Pixels, threshold: float) -> list[Match]:
    """Local maxima of the correlation coefficient (OpenCV's TM_CCOEFF_NORMED over all channels) from ``threshold``."""
    height, width = template.shape[:2]
    scores = _scores(image, template)
    # A maximum over half the template's size: nearer neighbours would overlap too much to be kept anyway.
    window = np.ones((height // 2 | 1, width // 2 | 1), dtype=np.uint8)
    peaks = (scores >= threshold) & (scores == cv2.dilate(scores, window))
    rows, columns = np.nonzero(peaks)
    values = scores[rows, columns]
    order = np.argsort(-values, kind="stable")[:MAX_PEAKS]
    return [
        Match((x, y, x + width, y + height), min(1.0, score))
        for x, y, score in zip(columns[order].tolist(), rows[order].tolist(), values[order].tolist(), strict=True)
    ]


def best(found: Sequence[Match], max_matches: int) -> list[Match]:
    """The best of each group of overlapping matches, best first (greedy non-maximum suppression)."""
    if not found:
        return []
    boxes = [(m.box[0], m.box[1], m.box[2] - m.box[0], m.box[3] - m.box[1]) for m in found]
    kept = cv2.dnn.NMSBoxes(boxes, [m.score for m in found], 0.0, MAX_OVERLAP)
    return [found[int(i)] for i in np.asarray(kept).ravel()[:max_matches]]


def _scores(image: Pixels, template: Pixels) -> NDArray[np.float32]:
    """Coefficients, shape ``(H - h + 1, W - w + 1)``, finite; 0 where the picture is flat."""
    height, width = template.shape[:2]
    scores = np.asarray(cv2.matchTemplate(image, template, cv2.TM_CCOEFF_NORMED), dtype=np.float32)
    gray = to_gray(image)
    size, first = (width, height), (0, 0)
    mean = cv2.boxFilter(gray, cv2.CV_32F, size, anchor=first)
    variance = cv2.sqrBoxFilter(gray, cv2.CV_32F, size, anchor=first) - np.square(mean)
    flat = variance[: scores.shape[0], : scores.shape[1]] < FLAT_VARIANCE
    scores[flat | ~np.isfinite(scores)] = 0
    return scores


def _has_texture(template: Pixels) -> bool:
    return float(np.var(to_gray(template))) >= FLAT_VARIANCE


def _resized(template: Pixels, size: tuple[int, int]) -> Pixels:
    if size == (template.shape[1], template.shape[0]):
        return template
    shrinks = size[0] < template.shape[1]
    resized = cv2.resize(template, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, dtype=np.uint8)
