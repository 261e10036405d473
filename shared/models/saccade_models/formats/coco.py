"""Writes COCO's JSON for boxes (https://cocodataset.org/#format-data): ``images``, ``annotations``, ``categories``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade_models.boxes import xyxy_to_xywh


def coco_image(image_id: int, file_name: str, width: int, height: int) -> dict[str, Any]:
    """An entry of ``images``."""
    return {"id": image_id, "file_name": file_name, "width": width, "height": height}


def coco_annotation(
    annotation_id: int, image_id: int, class_id: int, box: Sequence[float], score: float
) -> dict[str, Any]:
    """An entry of ``annotations``: ``box`` is x1, y1, x2, y2 in pixels; ``score`` is there as in COCO's results."""
    x, y, width, height = (round(float(v), 2) for v in xyxy_to_xywh([box])[0])
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": class_id,
        "bbox": [x, y, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": score,
    }


def write_coco(
    path: Path,
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    classes: Mapping[int, str],
) -> None:
    """The file, entry by entry: neither list needs to be in memory. ``classes`` are the names by category id."""
    categories = ({"id": number, "name": name} for number, name in classes.items())
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for start, entries in (
            ('{"images":[', images),
            ('],"annotations":[', annotations),
            ('],"categories":[', categories),
        ):
            out.write(start)
            for number, entry in enumerate(entries):
                out.write(",\n" if number else "\n")
                out.write(json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        out.write("]}\n")
