"""Writes YOLO's text files: one for each picture, a line for each box, ``class cx cy w h score``.

Centre, width and height are shares 0..1 of the picture; class names are in a ``data.yaml``
(https://docs.ultralytics.com/datasets/detect/).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from saccade_models.boxes import xyxy_to_yolo


def yolo_line(class_id: int, box: Sequence[float], size: tuple[int, int], score: float) -> str:
    """A line with its end; ``box`` is x1, y1, x2, y2 in pixels of a picture of ``size`` (width, height)."""
    shares = " ".join(f"{share:.6f}" for share in xyxy_to_yolo([box], *size)[0])
    return f"{class_id} {shares} {score:.4f}\n"


def data_yaml(labels: Sequence[str]) -> str:
    """A ``data.yaml`` with the name of each class; a name that is there already gets its number (``???#12``)."""
    names = [f"{label}#{number}" if label in labels[:number] else label for number, label in enumerate(labels)]
    # JSON's texts are YAML's too.
    return "names:\n" + "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(names)
    )
