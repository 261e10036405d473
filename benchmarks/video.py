"""``detect_objects`` on a video: the loop as users write it, the best bare loop, and the whole stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.objects import MODEL, together
from benchmarks.report import beside, table
from saccade.client import Client
from saccade_core.assets import asset
from saccade_models.video import VideoReader
from saccade_models.weights import local_model
from servers.stack import Stack

#: 1,394 frames of 768x432.
VIDEO = "videos/one-by-one-person-detection.mp4"


@dataclass(frozen=True, slots=True)
class VideoRates:
    """Frames per second of each way. ``found`` is what ``best_bare`` and ``saccade`` found in all frames together."""

    plain: float
    best_bare: float
    saccade: float
    with_overlay: float
    found: tuple[int, int]


def measure(url: str, rounds: int = 1, video: Path | None = None) -> VideoRates:
    """Each way takes its turns; a rate is over all its rounds. Nothing is counted before a model is loaded; the video
    (of a constant rate) is uploaded before."""
    path, files = video or asset(VIDEO), local_model(MODEL).files
    with VideoReader(path) as reader:
        frames = reader.facts.frames
    plain = ["benchmarks.bare_video", "plain", str(files["weights"]), str(path), "0", str(frames)]
    best = ["benchmarks.bare_video", "best", str(files["onnx"]), str(path)]
    halves = [["0", str(frames // 2)], [str(frames // 2), str(frames)]]
    took, found = [0.0] * 4, (0, 0)
    with Client(url, patience_s=60) as client:
        file = client.upload(path).id
        _job(client, file, every_n=50, overlay=False)
        for _ in range(rounds):
            bare, ours = together([[*best, *half] for half in halves]), _job(client, file, every_n=1, overlay=False)
            drawn = _job(client, file, every_n=1, overlay=True)
            turn = [together([plain])[0], bare[0], ours[0], drawn[0]]
            took, found = [total + seconds for total, seconds in zip(took, turn, strict=True)], (bare[1], ours[1])
    rates = [rounds * frames / seconds for seconds in took]
    return VideoRates(rates[0], rates[1], rates[2], rates[3], found)


def _job(client: Client, video: str, *, every_n: int, overlay: bool) -> tuple[float, int]:
    """Seconds from the request to the stored result, and the number of objects found."""
    params = {"every_n": every_n, "overlay": overlay}
    job = client.wait(client.submit("detect_objects", {"media": video}, params).id, timeout_s=600)
    if job.result is None or job.finished_at is None:
        raise RuntimeError(f"{job.id} is {job.state}: {job.error}")
    return (job.finished_at - job.created_at).total_seconds(), job.result["video"]["items"]


def section(stack: Stack) -> str:
    """Frames per second of each way."""
    found = measure(stack.url)
    rows = [
        ("plain loop: `YOLO('yolo11n.pt').predict(video, stream=True)`", found.plain),
        ("best bare loop: decoding and the exported model, two processes, one thread each", found.best_bare),
        ("Saccade, whole stack, 2 workers, in parts, without overlay", found.saccade),
        ("Saccade, whole stack, 2 workers, in parts, with overlay.mp4", found.with_overlay),
    ]
    return table(
        "`detect_objects`, yolo11n, a video of 1,394 frames of 768x432",
        ["way", "frames/s", "beside the plain loop", "beside the best bare loop"],
        [[name, f"{rate:.1f}", *beside(rate, found.plain, found.best_bare)] for name, rate in rows],
        f"The best bare loop found {found.found[0]} objects, Saccade {found.found[1]}.",
    )
