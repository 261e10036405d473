"""Objects as a table, for spreadsheets: a row for each object, in each frame."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from saccade_models.formats.cells import cell

HEADER = ("frame", "time_s", "label", "class_id", "score", "x1", "y1", "x2", "y2", "track_id")


def write_objects_csv(path: Path, frames: Iterable[tuple[int, float, Iterable[Mapping[str, Any]]]]) -> None:
    """Rows of each frame (its index, seconds and objects with ``label, class_id, score, box, track_id``).

    A picture is frame 0 at 0 s; boxes are x1, y1, x2, y2 in pixels; an object without track has an empty last field.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for index, time_s, objects in frames:
            for item in objects:
                track = item.get("track_id")
                rows.writerow(
                    [
                        index,
                        time_s,
                        cell(item["label"]),
                        item["class_id"],
                        item["score"],
                        *item["box"],
                        "" if track is None else track,
                    ]
                )
