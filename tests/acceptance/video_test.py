"""Videos through the whole stack: what is seen in them, and what a killed worker changes (nothing)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from saccade_core.jobs import Job, JobState
from servers.asking import artifact_bytes, finished, result_of, submitted
from servers.stack import Stack, StartStack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

VISITS = "videos/one-by-one-person-detection.mp4"
CARS = "videos/car-detection.mp4"


def _frames(stack: Stack, job: Job, folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in artifact_bytes(stack, job, "frames.jsonl", folder).splitlines()]


def test_six_visits_and_never_two_people_at_once(stack: Stack, tmp_path: Path) -> None:
    job = finished(stack, "detect_objects", {"media": VISITS}, classes=["person"], track=True, every_n=2, min_score=0.4)
    result = result_of(job)
    visits = [visit for visit in result["visits"] if visit["label"] == "person"]
    assert len(visits) == 6
    assert {visit["most_at_once"] for visit in visits} == {1}
    frames = _frames(stack, job, tmp_path)
    assert [frame["index"] for frame in frames] == list(range(0, 1394, 2))
    assert result["video"]["frames_seen"] == len(frames) == 697


def test_four_cars_cross_the_line(stack: Stack) -> None:
    """Counted by looking: two drive up and two down. Seen from straight above the network knows no car by its name,
    so no label is asked for, and the last, white one scores below 0.25."""
    line = {"name": "middle", "start": [0, 216], "end": [768, 216]}
    job = finished(stack, "detect_objects", {"media": CARS}, track=True, lines=[line], min_score=0.15)
    [counted] = result_of(job)["lines"]
    assert (counted["name"], counted["in"], counted["out"]) == ("middle", 2, 2)


def test_the_overlay_plays(stack: Stack, tmp_path: Path) -> None:
    job = finished(stack, "detect_faces", {"media": "videos/short_hamilton_clip.mp4"}, every_n=5)
    artifact_bytes(stack, job, "overlay.mp4", tmp_path)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in container.decode(video)) == 275


def test_a_killed_worker_changes_nothing(start_stack: StartStack, stack: Stack, tmp_path: Path) -> None:
    """A worker is killed -9 half-way: finished segments are kept, and the result is that of an undisturbed run."""
    params: dict[str, Any] = {"model": "ssd_mobilenet", "classes": ["person"], "track": True, "min_score": 0.4}
    undisturbed = finished(stack, "detect_objects", {"media": VISITS}, **params)
    assert result_of(undisturbed)["video"]["items"] > 500

    mine = start_stack(workers="cpu=1")
    job = submitted(mine, "detect_objects", {"media": VISITS}, **params)

    def partial() -> list[str]:
        return [a.name for a in mine.client.job(job.id).artifacts if a.name.endswith("frames.jsonl")]

    eventually(lambda: len(partial()) >= 1, within_s=120, what="a finished segment")
    kept = partial()
    first = artifact_bytes(mine, job, kept[0], tmp_path / "partial")  # readable while the job runs
    assert first.splitlines()
    assert mine.client.job(job.id).state is JobState.RUNNING
    mine.kill("cpu-1")
    ended = mine.client.wait(job.id, timeout_s=300)
    assert ended.state is JobState.SUCCEEDED, ended.error
    assert result_of(ended) == result_of(undisturbed)
    again = artifact_bytes(mine, ended, "frames.jsonl", tmp_path / "again")
    assert again == artifact_bytes(stack, undisturbed, "frames.jsonl", tmp_path / "once")
