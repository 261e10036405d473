"""Runs every measurement and writes ``benchmarks/RESULTS.md``."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import bare_celery, frames, jobs, objects, pages
from servers.stack import Stack

RESULTS = Path(__file__).with_name("RESULTS.md")
_PARTS = ("jobs", "pages", "frames", "objects", "memory")


def main() -> None:
    """Measure one after the other on one running stack with two worker processes."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--only", choices=_PARTS, action="append")
    only = set(parser.parse_args().only or _PARTS)
    sections = [_machine()]
    with closing(Stack()) as stack:
        stack.start()
        if "memory" in only:
            sections.append(_memory(stack))
        if "jobs" in only:
            sections.append(_jobs(stack))
        if "pages" in only:
            sections.append(_pages(stack))
        if "frames" in only:
            sections.append(_frames(stack))
        if "objects" in only:
            sections.append(_objects(stack))
    text = "\n\n".join(sections) + "\n"
    print(text)
    if len(only) == len(_PARTS):
        RESULTS.write_text(text, "utf-8")


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


def _memory(stack: Stack) -> str:
    rows = ["## Memory of each idle process", "", "| process | MiB (unique set size) |", "|---|---|"]
    supervisor = psutil.Process(stack.process.pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    rows += [f"| {_short(p.cmdline())} | {p.memory_full_info().uss / 2**20:.0f} |" for p in processes]
    return "\n".join(rows)


def _short(command: list[str]) -> str:
    """The module that runs, or the program."""
    if "-m" in command:
        module = command[command.index("-m") + 1]
        return f"{module} up" if module == "saccade" else module
    return Path(command[0].split()[0]).name


def _jobs(stack: Stack) -> str:
    idle = jobs.latency(stack.url)
    rate = jobs.rate(stack.url)
    bare = bare_celery.tasks_per_second(f"redis+socket://{stack.data_dir}/redis/redis.sock")
    return "\n".join(
        [
            "## The smallest `edit_image` job (8 x 8 px, flipped), embedded stack, 2 workers",
            "",
            "| | |",
            "|---|---|",
            f"| POST to final state, idle, p50 | {idle.p50_ms:.0f} ms |",
            f"| the same, p99 | {idle.p99_ms:.0f} ms |",
            f"| accepted jobs/s, 8 clients | {rate.accepted:.0f} |",
            f"| finished jobs/s, the same run | {rate.finished:.0f} |",
            f"| bare Celery no-op tasks/s, 2 one-slot workers | {bare:.0f} |",
        ]
    )


def _pages(stack: Stack) -> str:
    found = pages.measure(stack.url)
    return "\n".join(
        [
            "## `read_text`, a dense A4 page at 200 dpi, pages/min",
            "",
            "| way | pages/min | Saccade beside it |",
            "|---|---|---|",
            (
                f"| plain loop: `pytesseract.image_to_string(Image.open(...))` | {found.plain:.1f} "
                f"| {found.saccade / found.plain:.1f} times |"
            ),
            (
                f"| best bare loop: two processes, one thread each | {found.best_bare:.1f} "
                f"| {found.saccade / found.best_bare:.2f} times |"
            ),
            f"| Saccade, whole stack, 2 workers | {found.saccade:.1f} | |",
        ]
    )


def _frames(stack: Stack) -> str:
    rows = frames.measure(5)
    by_name = {row.name: row for row in rows}
    spent = frames.through(stack.client)
    naive, decoding = (by_name[name].seconds for name in (frames.NAIVE, frames.DECODING))
    rows.append(frames.Row("Saccade, whole stack, claim to stored result", spent, naive / spent, decoding / spent))
    return "\n".join(
        [
            "## `extract_frames`, every 5th frame of a 1080p clip (600 frames, 4 Mb/s) to JPEG",
            "",
            "| way | s | speed beside the naive loop | beside decoding alone |",
            "|---|---|---|---|",
            *(f"| {r.name} | {r.seconds:.2f} | {r.against_naive:.2f} | {r.against_decoding:.2f} |" for r in rows),
        ]
    )


def _objects(stack: Stack) -> str:
    found = objects.measure(stack.url)
    rows = [
        ("plain loop: `YOLO('yolo11n.pt').predict(picture)`", found.plain),
        ("best bare loop: exported model, OpenVINO, two processes, one thread each", found.best_bare),
        ("Saccade, whole stack, 2 workers, results only", found.saccade),
        ("Saccade, whole stack, 2 workers, with overlay.png, coco.json, objects.csv, labels", found.with_files),
    ]
    return "\n".join(
        [
            "## `detect_objects`, yolo11n, 200 photos of at most 640 pixels a side",
            "",
            "| way | images/s | beside the plain loop | beside the best bare loop |",
            "|---|---|---|---|",
            *(f"| {name} | {r:.1f} | {r / found.plain:.2f} | {r / found.best_bare:.2f} |" for name, r in rows),
            "",
            f"The best bare loop found {found.found[0]} objects, Saccade {found.found[1]}.",
        ]
    )


if __name__ == "__main__":
    main()
