"""The artefacts of its own that a run leaves: coco.json, objects.csv and YOLO's label files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath
from typing import Any

from saccade_core.kind import Context
from saccade_models.detectors import classes_of
from saccade_models.formats.coco import coco_annotation, coco_image, write_coco
from saccade_models.formats.objects_csv import write_objects_csv
from saccade_models.formats.yolo_txt import data_yaml, yolo_line
from saccade_models.media import FrameItems, Seen

#: The time of every entry in labels.zip: the same run gives the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_files(seen: Seen, name: str, labels: Sequence[str], formats: Collection[str], context: Context) -> None:
    """Those of ``formats`` (``coco``, ``yolo``, ``csv``); ``name`` is the input file's, ``labels`` the model's."""
    if "coco" in formats:
        write_coco(context.artifact("coco.json"), _images(seen, name), _annotations(seen), classes_of(labels))
        context.check_cancelled()
    if "csv" in formats:
        rows = ((frame.index, frame.time_s, frame.items) for frame in seen.frames())
        write_objects_csv(context.artifact("objects.csv"), rows)
        context.check_cancelled()
    if "yolo" in formats and seen.media == "image":
        context.artifact(f"labels/{_safe_stem(name)}.txt").write_text(_label_text(seen, seen.items), "utf-8")
    elif "yolo" in formats:
        _write_zip(seen, labels, context)


def _images(seen: Seen, name: str) -> Iterator[dict[str, Any]]:
    """The picture, or every frame that was looked at; ids count from 1, as COCO's do."""
    for frame in seen.frames():
        file_name = name if seen.media == "image" else f"{_frame_name(frame)}.jpg"
        yield coco_image(frame.index + 1, file_name, seen.width, seen.height)


def _annotations(seen: Seen) -> Iterator[dict[str, Any]]:
    number = 0
    for frame in seen.frames():
        for item in frame.items:
            number += 1
            entry = coco_annotation(number, frame.index + 1, item["class_id"], item["box"], item["score"])
            yield entry if item.get("track_id") is None else {**entry, "track_id": item["track_id"]}


def _write_zip(seen: Seen, labels: Sequence[str], context: Context) -> None:
    """One file for each frame with objects: thousands of artefacts would be no use to anybody."""
    with zipfile.ZipFile(context.artifact("labels.zip"), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.writestr(_entry("data.yaml"), data_yaml(labels))
        for number, frame in enumerate(seen.frames()):
            if frame.items:
                out.writestr(_entry(f"labels/{_frame_name(frame)}.txt"), _label_text(seen, frame.items))
            if number % 256 == 0:
                context.check_cancelled()


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _ZIP_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _label_text(seen: Seen, items: Sequence[dict[str, Any]]) -> str:
    size = (seen.width, seen.height)
    return "".join(yolo_line(item["class_id"], item["box"], size, item["score"]) for item in items)


def _frame_name(frame: FrameItems) -> str:
    """As extracted frames are called: frame_000123."""
    return f"frame_{frame.index:06d}"


def _safe_stem(name: str) -> str:
    """The file's name without suffix, as far as an artefact may be called so."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePath(name).stem)[:100].strip(".")
    return stem or "image"
