"""Every 5th frame of a 1080p H.264 clip (600 frames, 4 Mb/s) to JPEG: Saccade's runner beside two bare loops.

The three run interleaved, each with its
library's default threads. The clip is made once, with ffmpeg, in the temporary folder.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2

from benchmarks.report import table
from saccade.client import Client
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.extract_frames.contract import ExtractFramesParams
from saccade_kinds.extract_frames.runner import run
from servers.stack import Stack

EVERY_N = 5
FRAMES = 600


@dataclass(frozen=True, slots=True)
class Row:
    """Median seconds of one way, and its speed beside the naive loop's and bare decoding's."""

    name: str
    seconds: float
    against_naive: float
    against_decoding: float


def clip() -> Path:
    """The clip, made on first use (about 15 s)."""
    path = Path(tempfile.gettempdir()) / "saccade-bench-1080p-4mbit.mp4"
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        source = "testsrc2=size=1920x1080:rate=30:duration=20,noise=alls=6:allf=t"
        rate = ["-b:v", "4M", "-maxrate", "4M", "-bufsize", "8M"]
        coding = ["-c:v", "libx264", "-preset", "veryfast", *rate, "-pix_fmt", "yuv420p"]
        command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, *coding, str(part)]
        subprocess.run(command, check=True)
        part.rename(path)
    return path


def naive(path: Path, out: Path) -> int:
    """The loop as users write it: read every frame, imwrite every 5th."""
    video = cv2.VideoCapture(str(path))
    index = written = 0
    while True:
        ok, frame = video.read()
        if not ok:
            return written
        if index % EVERY_N == 0:
            cv2.imwrite(str(out / f"frame_{index:06d}.jpg"), frame)
            written += 1
        index += 1


def decode_alone(path: Path, _out: Path) -> int:
    """Every frame decoded by PyAV with the runner's thread settings, and nothing done with it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return (sum(1 for _ in container.decode(stream)) + EVERY_N - 1) // EVERY_N


def saccade(path: Path, out: Path) -> int:
    """The kind's own runner: pictures, contact sheet and result."""
    return run(inputs_of(video=path), ExtractFramesParams(every_n=EVERY_N), LocalContext(out)).count


NAIVE, DECODING, OURS = "OpenCV read + imwrite", "decode alone (PyAV)", "Saccade's runner"
WAYS: dict[str, Callable[[Path, Path], int]] = {
    NAIVE: naive,
    DECODING: decode_alone,
    OURS: saccade,
}


def measure(rounds: int) -> list[Row]:
    """Medians over ``rounds`` interleaved rounds, after one that is not counted."""
    path = clip()
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name, way in WAYS.items():
            with tempfile.TemporaryDirectory() as out:
                began = time.perf_counter()
                count = way(path, Path(out))
                seconds = time.perf_counter() - began
            if count != FRAMES // EVERY_N:
                raise RuntimeError(f"{name} gave {count} frames")
            if number:
                took[name].append(seconds)
    median = {name: statistics.median(values) for name, values in took.items()}
    plain, decoding, _ = median.values()
    return [Row(name, seconds, plain / seconds, decoding / seconds) for name, seconds in median.items()]


def through(client: Client, rounds: int = 5, warm_up: int = 3) -> float:
    """Median seconds of the same through the whole stack, from the claim to the stored result; one job at a time.
    The first ones are not counted: in them the workers' children import what they need."""
    file = client.upload(clip()).id
    took: list[float] = []
    for _ in range(warm_up + rounds):
        job = client.wait(client.submit("extract_frames", {"video": file}, {"every_n": EVERY_N}).id, timeout_s=120)
        if job.run_s is None or not job.artifacts:
            raise RuntimeError(f"{job.id} is {job.state}: {job.error}")
        took.append(job.run_s)
    return statistics.median(took[warm_up:])


def section(stack: Stack) -> str:
    """Seconds of each way, the whole stack last."""
    rows = measure(5)
    by_name = {row.name: row for row in rows}
    spent = through(stack.client)
    naive, decoding = (by_name[name].seconds for name in (NAIVE, DECODING))
    rows.append(Row("Saccade, whole stack, claim to stored result", spent, naive / spent, decoding / spent))
    return table(
        "`extract_frames`, every 5th frame of a 1080p clip (600 frames, 4 Mb/s) to JPEG",
        ["way", "s", "speed beside the naive loop", "beside decoding alone"],
        [[r.name, f"{r.seconds:.2f}", f"{r.against_naive:.2f}", f"{r.against_decoding:.2f}"] for r in rows],
    )
