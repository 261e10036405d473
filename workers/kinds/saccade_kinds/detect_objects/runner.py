"""Runs ``detect_objects``."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from saccade_core.kind import Context, Inputs
from saccade_core.parts import DonePart, Part
from saccade_kinds.detect_objects.classes import chosen_classes
from saccade_kinds.detect_objects.contract import DetectObjectsParams, DetectObjectsResult
from saccade_kinds.detect_objects.files import write_files
from saccade_kinds.detect_objects.overlay import following
from saccade_kinds.detect_objects.summary import summary
from saccade_models.detectors import Detections, Thresholds, batch_size, labels_of, load
from saccade_models.images import Pixels
from saccade_models.media import Item, Look, MediaRunner, Seen


def run(inputs: Inputs, params: DetectObjectsParams, context: Context) -> DetectObjectsResult:
    """The whole job; raises InvalidParams for labels that the model does not know."""
    return _runner(inputs).run(inputs, params, context)


def plan(inputs: Inputs, params: DetectObjectsParams, context: Context) -> Sequence[Part]:
    """A long video's segments."""
    return _runner(inputs).plan(inputs, params, context)


def run_part(inputs: Inputs, params: DetectObjectsParams, context: Context, part: Part) -> dict[str, Any]:
    """One segment."""
    return _runner(inputs).run_part(inputs, params, context, part)


def join(
    inputs: Inputs, params: DetectObjectsParams, context: Context, parts: Sequence[DonePart]
) -> DetectObjectsResult:
    """The segments put together, followed and counted."""
    return _runner(inputs).join(inputs, params, context, parts)


def _runner(inputs: Inputs) -> MediaRunner[DetectObjectsParams, DetectObjectsResult]:
    return MediaRunner(_look, partial(_result, inputs.one("media").name))


@contextmanager
def _look(params: DetectObjectsParams, context: Context) -> Generator[Look]:
    model, device = context.model(params.model), context.device
    labels = labels_of(model)
    thresholds = Thresholds(params.min_score, params.iou, chosen_classes(labels, params.classes))
    follower = following(params)

    def see(pictures: Sequence[Pixels]) -> list[list[Item]]:
        found = load(model, device).detect(pictures, thresholds)
        return [_items(detections, labels) for detections in found]

    yield Look(
        items="objects",
        see=see,
        draw=follower.draw,
        batch=batch_size(device),
        relate=follower.relate if params.track else None,
    )


def _items(found: Detections, labels: Sequence[str]) -> list[Item]:
    """Objects as the result has them; what has no area inside the picture is none."""
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
    items: list[Item] = [
        {"label": labels[number], "class_id": number, "score": round(score, 4), "box": [round(v, 2) for v in box]}
        for box, score, number in rows
    ]
    return [item for item in items if item["box"][2] > item["box"][0] and item["box"][3] > item["box"][1]]


def _result(name: str, params: DetectObjectsParams, seen: Seen, context: Context) -> DetectObjectsResult:
    write_files(seen, name, labels_of(context.model(params.model)), params.formats, context)
    return summary(seen, params, context)
