"""Small YOLO data sets for tests: drawn circles and squares, and any other layout from a list of files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from saccade_models.images import Pixels, encode_image

DATA_YAML = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['circle', 'square']\n"


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip of ``files``, contents by name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def shape_files(count: int, size: int = 96, seed: int = 0) -> dict[str, str | bytes]:
    """``data.yaml``, and ``count`` pictures of two red circles or blue squares: of four, two are of train, one each of
    valid and test."""
    draw = np.random.default_rng(seed)
    files: dict[str, str | bytes] = {"data.yaml": DATA_YAML}
    for number in range(count):
        part = ("train", "valid", "train", "test")[number % 4]
        pixels, label = _picture(draw, size)
        files[f"{part}/images/shape{number:02d}.png"] = encode_image(pixels, "png")
        files[f"{part}/labels/shape{number:02d}.txt"] = label
    return files


def _picture(draw: np.random.Generator, size: int) -> tuple[Pixels, str]:
    pixels: Pixels = np.full((size, size, 3), 235, dtype=np.uint8)
    lines: list[str] = []
    for place in range(2):
        kind, radius = int(draw.integers(2)), int(draw.integers(size // 12, size // 5))
        x = int(draw.integers(radius, size // 2 - radius)) + place * size // 2
        y = int(draw.integers(radius, size - radius))
        if kind == 0:
            cv2.circle(pixels, (x, y), radius, (40, 60, 220), -1)
        else:
            cv2.rectangle(pixels, (x - radius, y - radius), (x + radius, y + radius), (200, 120, 30), -1)
        side = (2 * radius + 1) / size
        lines.append(f"{kind} {(x + 0.5) / size:.6f} {(y + 0.5) / size:.6f} {side:.6f} {side:.6f}\n")
    return pixels, "".join(lines)
