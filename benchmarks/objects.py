"""``detect_objects`` on 200 photos: the loop as users write it, the best bare loop, and the whole stack."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from benchmarks.report import beside, table
from saccade.client import Client
from saccade_core.assets import asset, registry
from saccade_core.jobs import JobState
from saccade_models.weights import local_model
from servers.stack import Stack

MODEL = "yolo11n"
#: As many clients as the gateway is asked by at once.
_CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Objects:
    """Images per second of each way. ``found`` is what ``best`` and ``saccade`` found in all pictures together."""

    plain: float
    best_bare: float
    saccade: float
    workers: float
    with_files: float
    found: tuple[int, int]


def photos(folder: Path, count: int = 200) -> list[Path]:
    """Different pictures of at most 640 pixels a side: registered photos, mirrored and made lighter or darker."""
    sources = sorted(p for p in registry() if p.startswith(("images/objects/", "images/people/")) and p.endswith("jpg"))
    pictures = [cv2.imread(str(asset(path))) for path in sources]
    made: list[Path] = []
    for number in range(count):
        pixels, turn = pictures[number % len(pictures)], number // len(pictures)
        assert pixels is not None
        lighter = cv2.convertScaleAbs(pixels, alpha=1, beta=3 * (turn // 2))
        path = folder / f"photo_{number:03d}.jpg"
        cv2.imwrite(str(path), np.ascontiguousarray(lighter[:, ::-1]) if turn % 2 else lighter)
        made.append(path)
    return made


def measure(url: str, count: int = 200, rounds: int = 2) -> Objects:
    """Each way takes its turns with all pictures; a rate is over all its rounds. Nothing is counted before a model is
    loaded; files are uploaded before."""
    with tempfile.TemporaryDirectory() as folder, Client(url, patience_s=60) as client:
        pictures = photos(Path(folder), count)
        files = [client.upload(picture).id for picture in pictures]
        _through(url, files[:8], files_too=True)
        took: dict[str, float] = dict.fromkeys(("plain", "best", "saccade", "workers", "files"), 0.0)
        found: list[int] = []
        for _ in range(rounds):
            took["plain"] += _bare("plain", "weights", [pictures])[0]
            seconds, bare_found = _bare("best", "onnx", [pictures[::2], pictures[1::2]])
            took["best"] += seconds
            seconds, our_found = _through(url, files, files_too=False)
            took["saccade"] += seconds
            took["workers"] += _through(url, files, files_too=False, waiting=True)[0]
            took["files"] += _through(url, files, files_too=True)[0]
            found = [bare_found, our_found]
    rates = {name: rounds * count / seconds for name, seconds in took.items()}
    return Objects(
        rates["plain"], rates["best"], rates["saccade"], rates["workers"], rates["files"], (found[0], found[1])
    )


def _bare(way: str, role: str, shares: Sequence[Sequence[Path]]) -> tuple[float, int]:
    command = ["benchmarks.bare_yolo", way, str(local_model(MODEL).files[role])]
    return together([[*command, *map(str, share)] for share in shares])


def together(commands: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Modules with their arguments, run at the same time: seconds of the slowest from when all are ready; what they
    found."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-m", *c], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for c in commands
        ]
        for process in processes:
            assert process.stdout is not None
            while process.stdout.readline().strip() != "ready":
                assert process.poll() is None, "the bare loop ended"
        with ThreadPoolExecutor(len(processes)) as pool:
            answers = list(pool.map(_go, processes))
    return max(float(seconds) for seconds, _ in answers), sum(int(found) for _, found in answers)


def _go(process: subprocess.Popen[str]) -> list[str]:
    return process.communicate("go\n")[0].split()[-2:]


def _through(url: str, files: Sequence[str], *, files_too: bool, waiting: bool = False) -> tuple[float, int]:
    """Seconds from the first request to the last job's end, and the number of objects found; ``files_too``: with the
    overlay and the files that the kind writes by default, else with the result only, as the bare loops have it;
    ``waiting``: the jobs wait in the queue already, and the time is the workers' alone."""
    params = {} if files_too else {"overlay": False, "formats": []}
    run = f"objects-{time.time_ns()}"
    bodies: Iterator[dict[str, Any]] = iter(
        [{"kind": "detect_objects", "inputs": {"media": f}, "params": params, "labels": {"run": run}} for f in files]
    )
    with httpx.Client(base_url=url, timeout=70) as http:
        began = time.perf_counter()
        if waiting:
            http.post("/v1/queues/cpu/pause").raise_for_status()
        _submit(url, bodies)
        if waiting:
            time.sleep(2)  # what the gateway has still to publish
            began = time.perf_counter()
            http.post("/v1/queues/cpu/resume").raise_for_status()
        still = {"label": f"run={run}", "limit": "1", "state": ["queued", "running", "waiting"]}
        while http.get("/v1/jobs", params=still).json()["items"]:
            time.sleep(0.25)
        took = time.perf_counter() - began
        ended = http.get("/v1/jobs", params={"label": f"run={run}", "limit": "1000"}).json()["items"]
    assert len(ended) == len(files) and {job["state"] for job in ended} == {JobState.SUCCEEDED}
    return took, sum(sum(job["result"]["counts"].values()) for job in ended)


def _submit(url: str, bodies: Iterator[dict[str, Any]]) -> None:
    """As fast as they are accepted, from a few clients."""
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=url, timeout=70) as http:
            while True:
                with lock:
                    body = next(bodies, None)
                if body is None:
                    return
                answer = http.post("/v1/jobs", json=body)
                assert answer.status_code == 202, answer.text

    threads = [threading.Thread(target=work) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def section(stack: Stack) -> str:
    """Images per second of each way."""
    found = measure(stack.url)
    rows = [
        ("plain loop: `YOLO('yolo11n.pt').predict(picture)`", found.plain),
        ("best bare loop: exported model, OpenVINO, two processes, one thread each", found.best_bare),
        ("Saccade, whole stack, 2 workers, results only", found.saccade),
        ("the same, the jobs waiting in the queue already: the 2 workers alone", found.workers),
        ("Saccade, whole stack, 2 workers, with overlay.png, coco.json, objects.csv, labels", found.with_files),
    ]
    return table(
        "`detect_objects`, yolo11n, 200 photos of at most 640 pixels a side, one job each",
        ["way", "images/s", "beside the plain loop", "beside the best bare loop"],
        [[name, f"{rate:.1f}", *beside(rate, found.plain, found.best_bare)] for name, rate in rows],
        f"The best bare loop found {found.found[0]} objects, Saccade {found.found[1]}.",
    )
