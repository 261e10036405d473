"""What people look at after a training: its history, and samples of what the detector finds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from saccade_core.kind import InputFile
from saccade_models.boxes import Floats, cxcywh_to_xyxy
from saccade_models.datasets.yolo import Picture
from saccade_models.detectors import Detections, Detector, Thresholds
from saccade_models.draw import LabelColors, Mark, draw_marks, draw_text
from saccade_models.images import Pixels, read_image, write_image

#: So many pictures are shown, scaled so that the longer side is this, with these scores and better.
MOST_SAMPLES, SAMPLE_SIDE, SAMPLE_SCORE = 6, 420, 0.25
_GAP, _TITLE = 8, 26
_INK, _PAPER = (40, 40, 40), 215


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """A row for each epoch."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, fieldnames=list(history[0]))
        rows.writeheader()
        rows.writerows({**row, "epoch": int(row["epoch"])} for row in history)


def draw_curves(path: Path, history: Sequence[dict[str, float]], best_epoch: int) -> None:
    """Losses of train and valid, and the figures on valid, over the epochs; a line marks the best."""
    figure = Figure(figsize=(13, 4.2), dpi=110, layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, part in zip(figure.subplots(1, 3), ("train", "valid", "figures"), strict=True):
        names = ["map50", "map50_95", "precision", "recall"]
        if part != "figures":
            names = [f"{part}_{loss}_loss" for loss in ("box", "class", "dfl")]
        for name in names:
            axes.plot(epochs, [row.get(name, np.nan) for row in history], marker="." * (len(epochs) < 30), label=name)
        axes.axvline(best_epoch, color="gray", linestyle=":", label=f"best epoch ({best_epoch})")
        axes.set(xlabel="epoch", title="on valid" if part == "figures" else f"loss on {part}")
        axes.legend(fontsize=9)
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(path)


def read_picture(picture: Picture) -> Pixels:
    """The pixels, BGR, of a picture of the data set."""
    return read_image(InputFile(picture.path, picture.source, "", "dataset")).pixels


def draw_samples(
    path: Path, pictures: Sequence[Picture], labels: Sequence[str], detector: Detector, step: Callable[[], None]
) -> None:
    """Pictures with boxes, evenly taken, each with its true boxes on the left and what was found on the right."""
    shown = [picture for picture in pictures if picture.boxes]
    shown = [shown[n * len(shown) // min(MOST_SAMPLES, len(shown))] for n in range(min(MOST_SAMPLES, len(shown)))]
    colors, rows = LabelColors(), list[Pixels]()
    for picture in shown:
        step()
        pixels = _scaled(read_picture(picture))
        (found,) = detector.detect([pixels], Thresholds(SAMPLE_SCORE))
        left, right = pixels.copy(), pixels.copy()
        draw_marks(left, _truth(picture, labels, pixels), colors)
        draw_marks(right, _found(found, labels), colors)
        rows.append(np.hstack([left, np.full((len(left), _GAP, 3), _PAPER, dtype=np.uint8), right]))
    write_image(path, _sheet(rows))


def _sheet(rows: Sequence[Pixels]) -> Pixels:
    """The rows below each other, in two columns, under a title."""
    width = max(row.shape[1] for row in rows)
    cells = [
        cv2.copyMakeBorder(row, 0, _GAP, 0, width - row.shape[1] + 2 * _GAP, cv2.BORDER_CONSTANT, value=(_PAPER,) * 3)
        for row in rows
    ]
    columns = [np.vstack(some) for some in (cells[::2], cells[1::2]) if some]
    height = max(map(len, columns))
    padded = [
        cv2.copyMakeBorder(c, _TITLE, height - len(c), _GAP, 0, cv2.BORDER_CONSTANT, value=(_PAPER,) * 3)
        for c in columns
    ]
    sheet = np.ascontiguousarray(np.hstack(padded), dtype=np.uint8)
    draw_text(sheet, "left: labels; right: what was found", (_GAP, 4), _INK, size=14)
    return sheet


def _scaled(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = SAMPLE_SIDE / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), dtype=np.uint8)


def _truth(picture: Picture, labels: Sequence[str], pixels: Pixels) -> list[Mark]:
    height, width = pixels.shape[:2]
    boxes: Floats = cxcywh_to_xyxy([box[1:] for box in picture.boxes]) * [width, height, width, height]
    return [Mark(box, labels[named[0]]) for box, named in zip(boxes.tolist(), picture.boxes, strict=True)]


def _found(found: Detections, labels: Sequence[str]) -> list[Mark]:
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
    return [Mark(box, labels[int(number)], score) for box, score, number in rows]
