"""The label files of a YOLO data set, checked line by line.

A line is ``class x y width height``: the box's centre and sides in shares of the picture's sides. A line of YOLO's
segmentation form (``class x1 y1 x2 y2 x3 y3 ...``) gives the box around its polygon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from saccade_core.errors import InputError
from saccade_core.kind import InputFile

#: How far a box may reach out of the picture, in shares of its side; it is cut off there.
OUTSIDE = 0.05
MAX_BOXES_OF_A_PICTURE = 5000
_SHOWN = 5

#: class, then centre x, centre y, width, height in shares of the picture's sides.
Box = tuple[int, float, float, float, float]


@dataclass(slots=True)
class LabelReport:
    """What was found, and mended, in label files; ``wrong`` says file and line of what cannot be."""

    clipped: int = 0
    polygons: int = 0
    duplicates: int = 0
    without_area: int = 0
    wrong: list[str] = field(default_factory=list[str])

    def refuse(self, file: InputFile) -> None:
        """Raise InputError with the first wrong lines, where there are any."""
        if self.wrong:
            more = f" And {len(self.wrong) - _SHOWN} more lines." if len(self.wrong) > _SHOWN else ""
            raise InputError(
                f"Labels are wrong: {' '.join(self.wrong[:_SHOWN])}{more}", field=file.field, received=len(self.wrong)
            )


def read_labels(data: bytes, name: str, labels: int, report: LabelReport) -> list[Box]:
    """The boxes of one file, each once; what is mended or wrong is noted in ``report``."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        report.wrong.append(f"{name!r} is no text.")
        return []
    boxes: dict[Box, None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            box = _box(line, labels, report)
        except ValueError as error:
            report.wrong.append(f"{name!r} line {number}: {error}")
            continue
        if box is None:
            report.without_area += 1
        elif box in boxes:
            report.duplicates += 1
        else:
            boxes[box] = None
    if len(boxes) > MAX_BOXES_OF_A_PICTURE:
        report.wrong.append(f"{name!r} has {len(boxes)} boxes; {MAX_BOXES_OF_A_PICTURE} are the most of one picture.")
    return list(boxes)


def write_labels(boxes: Iterable[Box]) -> str:
    """The lines of a label file."""
    return "".join(f"{number} {x:.8g} {y:.8g} {w:.8g} {h:.8g}\n" for number, x, y, w, h in boxes)


def _box(line: str, labels: int, report: LabelReport) -> Box | None:
    """The box of a line, None where it has no area; ValueError says what is wrong with it."""
    numbers = _numbers(line)
    number = numbers[0]
    if not (number.is_integer() and 0 <= number < labels):
        raise ValueError(f"class {number:g} is none of the {labels} classes, which are 0 to {labels - 1}.")
    if len(numbers) == 5:
        x, y, width, height = numbers[1:]
        if min(width, height) < 0:
            raise ValueError(f"width and height must not be negative: {line.strip()[:80]!r}.")
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        report.polygons += 1
        across, down = numbers[1::2], numbers[2::2]
        edges = (min(across), min(down), max(across), max(down))
    if not all(-OUTSIDE <= edge <= 1 + OUTSIDE for edge in edges):
        raise ValueError(
            f"the box must lie in the picture, in shares of its sides (0 to 1, not pixels): {line.strip()[:80]!r}."
        )
    x1, y1, x2, y2 = (min(max(edge, 0.0), 1.0) for edge in edges)
    if (x1, y1, x2, y2) == edges and len(numbers) == 5 and min(numbers[3:]) > 0:
        return int(number), numbers[1], numbers[2], numbers[3], numbers[4]
    if max(abs(a - b) for a, b in zip(edges, (x1, y1, x2, y2), strict=True)) > 1e-5:  # beyond what rounding does
        report.clipped += 1
    if x2 <= x1 or y2 <= y1:
        return None
    return int(number), (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _numbers(line: str) -> list[float]:
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    polygon = len(numbers) >= 7 and len(numbers) % 2 == 1
    if not (len(numbers) == 5 or polygon) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"must be five numbers, class x y width height: {line.strip()[:80]!r}.")
    return numbers
