"""Where the labels of a picture go so that none covers another: rectangles only, nothing is drawn.

Rectangles are [x1, y1, x2, y2] in whole pixels, their right and lower ends not part of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

Rectangle: TypeAlias = tuple[int, int, int, int]


class LabelPlaces:
    """The free places of one picture for labels that are ``height`` pixels high.

    ``keep_clear`` are boxes of which no label may cover the middle half: only those less than two labels high can be
    covered so. Rectangles are kept by rows of a label's height, so a place is tested against its neighbours alone.
    """

    def __init__(self, width: int, height: int, label_height: int, keep_clear: Iterable[Sequence[float]] = ()) -> None:
        self._width, self._height, self._label_height = width, height, label_height
        self._taken = defaultdict[int, list[Rectangle]](list)
        self._clear = defaultdict[int, list[Rectangle]](list)
        for box in keep_clear:
            middle = _middle_half(box)
            if middle[3] - middle[1] <= label_height:
                self._clear[middle[1] // label_height].append(middle)

    def take(self, box: Sequence[float], label_width: int) -> tuple[int, int] | None:
        """Upper left corner [x, y] of a label for ``box``, from now on taken; None where every place is."""
        if label_width > self._width or self._label_height > self._height:
            return None
        for x, y in self._tries(box, label_width):
            place = (x, y, x + label_width, y + self._label_height)
            rows = range(y // self._label_height, (place[3] - 1) // self._label_height + 1)
            if not any(self._is_hit(place, row) for row in rows):
                for row in rows:
                    self._taken[row].append(place)
                return x, y
        return None

    def _tries(self, box: Sequence[float], label_width: int) -> Iterator[tuple[int, int]]:
        """Places that are whole in the picture: above, below, inside at the top, inside at the bottom."""
        x1, y1, x2, y2 = (round(v) for v in box)
        lowest, rightmost = self._height - self._label_height, self._width - label_width
        above, below = y1 - self._label_height, max(0, y2)
        inside = (min(max(0, y1), lowest), min(max(0, y2 - self._label_height), lowest))
        columns = dict.fromkeys(min(max(0, x), rightmost) for x in (x1, x2 - label_width))
        for y in dict.fromkeys((min(above, lowest), below, *inside)):
            if 0 <= y <= lowest:
                yield from ((x, y) for x in columns)

    def _is_hit(self, place: Rectangle, row: int) -> bool:
        x1, y1, x2, y2 = place
        for left, top, right, bottom in self._taken.get(row, ()):
            if x1 < right and left < x2 and y1 < bottom and top < y2:
                return True
        for left, top, right, bottom in self._clear.get(row, ()):
            if x1 <= left and right <= x2 and y1 <= top and bottom <= y2:
                return True
        return False


def _middle_half(box: Sequence[float]) -> Rectangle:
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) / 4, (y2 - y1) / 4
    return round(x1 + across), round(y1 + down), round(x2 - across), round(y2 - down)
