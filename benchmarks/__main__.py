"""Runs every measurement and writes ``benchmarks/RESULTS.md``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import face_search, faces, frames, jobs, landmarks, memory, objects, pages, serving, training, video
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
    "serving": serving.section,
    "training_time": training.section_of_time,
    "training": training.section,
}
#: Before each section of the page: what was measured, when, and of which commit.
_MARK = re.compile(r"^<!-- (?P<name>\w+): .* -->$", re.MULTILINE)


def main() -> None:
    """Measure one after the other; the page keeps what it has of the others."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--only", choices=list(PARTS), action="append")
    only = parser.parse_args().only or list(PARTS)
    sections = _sections(RESULTS.read_text("utf-8") if RESULTS.exists() else "")
    with closing(Stack()) as stack:
        stack.start()
        for name, section in PARTS.items():
            if name in only:
                sections[name] = f"<!-- {name}: {datetime.now(UTC):%Y-%m-%d}, commit {_commit()} -->\n{section(stack)}"
                print(sections[name], flush=True)
    page = [_machine(), *(sections[name] for name in PARTS if name in sections)]
    RESULTS.write_text("\n\n".join(page) + "\n", "utf-8")


def _sections(page: str) -> dict[str, str]:
    """What the page says of each part, with its mark."""
    marks = [*_MARK.finditer(page)]
    ends = [*(mark.start() for mark in marks[1:]), len(page)]
    return {mark["name"]: page[mark.start() : end].strip() for mark, end in zip(marks, ends, strict=True)}


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _machine() -> str:
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
        f"{os.cpu_count()} cores ({model}), "
        f"{memory:.0f} GiB, Python {platform.python_version()}, {platform.system()} {platform.release()}. "
        "`make bench` writes this page. The machine is shared: ratios hold better than absolute figures."
    )


if __name__ == "__main__":
    main()
