"""Runs every measurement and writes ``benchmarks/RESULTS.md``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import face_search, faces, frames, jobs, landmarks, memory, objects, pages, video
from servers.stack import Stack

RESULTS = Path(__file__).with_name("RESULTS.md")
#: In this order, on one running stack with two worker processes; what measures the idle stack comes first.
PARTS: dict[str, Callable[[Stack], str]] = {
    "jobs": jobs.section,
    "pages": pages.section,
    "frames": frames.section,
    "objects": objects.section,
    "video": video.section,
    "faces": faces.section,
    "landmarks": landmarks.section,
    "face_search": face_search.section,
    "memory": memory.section,
}


def main() -> None:
    """Measure one after the other."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--only", choices=list(PARTS), action="append")
    only = parser.parse_args().only or list(PARTS)
    sections = [_machine()]
    with closing(Stack()) as stack:
        stack.start()
        for name, section in PARTS.items():
            if name in only:
                sections.append(section(stack))
                print(sections[-1], flush=True)
    if len(only) == len(PARTS):
        RESULTS.write_text("\n\n".join(sections) + "\n", "utf-8")


def _machine() -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    memory = psutil.virtual_memory().total / 2**30
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return (
        "# Results\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}. {os.cpu_count()} cores ({model}), "
        f"{memory:.0f} GiB, Python {platform.python_version()}, {platform.system()} {platform.release()}. "
        "`make bench` writes this page. The machine is shared: ratios hold better than absolute figures."
    )


if __name__ == "__main__":
    main()
