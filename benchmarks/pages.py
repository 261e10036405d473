"""A4 pages by Tesseract: the loop as users write it, the best bare loop, and ``read_text`` through the stack."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.report import table
from saccade_core.assets import asset
from saccade_core.jobs import JobState
from servers.stack import Stack

#: A dense A4 page of English at 200 dpi (1,700 x 2,200 px).
PAGE = "documents/pdf/linn.png"


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages per minute of each way."""

    plain: float
    best_bare: float
    saccade: float


_PLAIN = """
import sys, time, pytesseract
from PIL import Image
started = time.perf_counter()
for _ in range(int(sys.argv[2])):
    pytesseract.image_to_string(Image.open(sys.argv[1]))
print(time.perf_counter() - started)
"""


def measure(url: str, rounds: int = 3) -> Pages:
    """Medians are not taken: each way reads enough pages, in turns, and pages per minute are over all of them."""
    page = asset(PAGE)
    plain = best = ours = 0.0
    per_process = 4
    _through(url, page, 2)  # imports are not counted for the bare loops, so not for the workers either
    for _ in range(rounds):
        plain += _bare(page, 1, processes=1, one_thread=False)
        best += _bare(page, per_process, processes=2, one_thread=True)
        ours += _through(url, page, 2 * per_process)
    many = rounds * 2 * per_process
    return Pages(60 * rounds / plain, 60 * many / best, 60 * many / ours)


def _bare(page: Path, count: int, *, processes: int, one_thread: bool) -> float:
    """Seconds until the slowest of the processes has read ``count`` pages; imports are not counted."""
    env = {**os.environ, "OMP_THREAD_LIMIT": "1"} if one_thread else dict(os.environ)
    command = [sys.executable, "-c", _PLAIN, str(page), str(count)]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return max(float(process.communicate()[0]) for process in running)


def _through(url: str, page: Path, count: int) -> float:
    with httpx.Client(base_url=url, timeout=70) as http:
        with page.open("rb") as stream:
            file = http.post("/v1/files", files={"file": (page.name, stream)}).json()["id"]
        body = {"kind": "read_text", "inputs": {"document": file}, "params": {"outputs": ["text"]}}
        started = time.perf_counter()
        jobs = [http.post("/v1/jobs", json=body).json()["id"] for _ in range(count)]
        for job in jobs:
            ended = http.get(f"/v1/jobs/{job}", params={"wait": 60}).json()
            while ended["state"] not in (JobState.SUCCEEDED, JobState.FAILED):
                ended = http.get(f"/v1/jobs/{job}", params={"wait": 60}).json()
            assert ended["state"] == JobState.SUCCEEDED, ended["error"]
        return time.perf_counter() - started


def section(stack: Stack) -> str:
    """Pages per minute of each way."""
    found = measure(stack.url)
    plain, best = found.saccade / found.plain, found.saccade / found.best_bare
    rows = [
        ["plain loop: `pytesseract.image_to_string(Image.open(...))`", f"{found.plain:.1f}", f"{plain:.1f} times"],
        ["best bare loop: two processes, one thread each", f"{found.best_bare:.1f}", f"{best:.2f} times"],
        ["Saccade, whole stack, 2 workers", f"{found.saccade:.1f}", ""],
    ]
    return table("`read_text`, a dense A4 page at 200 dpi, pages/min", ["way", "pages/min", "Saccade beside it"], rows)
