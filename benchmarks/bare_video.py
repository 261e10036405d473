"""Loops over a video without Saccade: ``python -m benchmarks.bare_video plain|best MODEL VIDEO FIRST LAST``.

``plain`` is the loop as users write it, ``best`` PyAV's decoder and the network of ``bare_yolo``, on the frames from
FIRST until before LAST. Each loads its model, looks at one picture, says ``ready``, waits for a line, and prints the
seconds that it took and how many objects it found.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.bare_yolo import IOU, MIN_SCORE, network


def plain(model: str, video: str, last: int) -> Iterator[int]:
    """``YOLO(model).predict(video, stream=True)``: the number of objects in each frame before ``last``."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "ULTRALYTICS_SAFE_LOAD": "1"}
    from ultralytics import YOLO  # pyright: ignore[reportPrivateImportUsage] - it lists no exports

    detector: Any = YOLO(model)
    detector.predict(np.zeros((432, 768, 3), np.uint8), verbose=False)
    yield 0
    for result in islice(detector.predict(video, stream=True, conf=MIN_SCORE, iou=IOU, verbose=False), last):
        yield len(result.boxes)


def best(model: str, video: str, first: int, last: int) -> Iterator[int]:
    """The number of objects in each of these frames."""
    look = network(model)
    look(np.zeros((432, 768, 3), np.uint8))
    yield 0
    for pixels in _frames(video, first, last):
        yield look(pixels)


def _frames(video: str, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
    """Decoded from the key frame before ``first`` on; the video's rate is constant."""
    with av.open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, base = stream.average_rate, stream.time_base
        assert rate is not None and base is not None
        container.seek(round(first / rate / base), stream=stream)
        for frame in container.decode(stream):
            index = round((frame.pts or 0) * base * rate)
            if index >= last:
                return
            if index >= first:
                yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def main() -> None:
    """Entry point."""
    way, model, video, first, last = sys.argv[1:]
    found = plain(model, video, int(last)) if way == "plain" else best(model, video, int(first), int(last))
    next(found)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    total = sum(found)
    print(time.perf_counter() - began, total, flush=True)


if __name__ == "__main__":
    main()
