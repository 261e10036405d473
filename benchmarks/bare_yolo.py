"""Loops over pictures without Saccade: ``python -m benchmarks.bare_yolo plain|best MODEL PICTURE...``.

``plain`` is the loop as users write it; ``best`` the fastest one that we know for one core: the exported model by
OpenVINO in one thread, on the smallest rectangle, read with a handful of array operations. Each loads its model, looks
at one picture, says ``ready``, waits for a line, and prints the seconds that all pictures took and what it found.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SCORE, IOU, SIDE = 0.25, 0.45, 640


def plain(model: str) -> Callable[[str], int]:
    """``YOLO(model).predict(picture)``: the number of objects."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "ULTRALYTICS_SAFE_LOAD": "1"}
    from ultralytics import YOLO  # pyright: ignore[reportPrivateImportUsage] - it lists no exports

    network: Any = YOLO(model)
    return lambda picture: len(network.predict(picture, conf=MIN_SCORE, iou=IOU, verbose=False)[0].boxes)


def best(model: str) -> Callable[[str], int]:
    """The bare OpenVINO loop: the number of objects."""
    look = network(model)

    def read_and_look(picture: str) -> int:
        pixels = cv2.imread(picture)
        assert pixels is not None
        return look(np.asarray(pixels, dtype=np.uint8))

    return read_and_look


def network(model: str) -> Callable[[NDArray[np.uint8]], int]:
    """The exported model by OpenVINO, on (H, W, 3) BGR: the number of objects."""
    os.environ["OPENVINO_TELEMETRY"] = "0"
    import openvino

    cv2.setNumThreads(1)
    settings = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def look(pixels: NDArray[np.uint8]) -> int:
        ratio = SIDE / max(pixels.shape[:2])
        height, width = (max(1, round(side * ratio)) for side in pixels.shape[:2])
        if (height, width) != pixels.shape[:2]:
            pixels = np.asarray(cv2.resize(pixels, (width, height)), dtype=np.uint8)
        down, across = -height % 32, -width % 32
        if down or across:
            edges = (down // 2, down - down // 2, across // 2, across - across // 2)
            padded = cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_CONSTANT, value=(114, 114, 114))
            pixels = np.asarray(padded, dtype=np.uint8)
        blob = cv2.dnn.blobFromImage(pixels, 1 / 255, swapRB=True)
        output = request.infer([blob], share_inputs=True, share_outputs=True)[0][0]
        scores = output[4:].max(axis=0)
        rows = np.flatnonzero(scores >= MIN_SCORE)
        classes = output[4:, rows].argmax(axis=0)
        boxes = output[:4, rows].T.copy()
        boxes[:, :2] -= boxes[:, 2:] / 2
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores[rows].tolist(), classes.tolist(), MIN_SCORE, IOU)
        return len(kept)

    return look


def main() -> None:
    """Entry point."""
    way, model, *pictures = sys.argv[1:]
    look = {"plain": plain, "best": best}[way](model)
    look(pictures[0])
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    found = sum(look(picture) for picture in pictures)
    print(time.perf_counter() - began, found, flush=True)


if __name__ == "__main__":
    main()
