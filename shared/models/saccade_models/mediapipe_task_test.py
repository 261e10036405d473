from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mediapipe.tasks.python.core.base_options import BaseOptions
from mediapipe.tasks.python.vision.hand_landmarker import HandLandmarker, HandLandmarkerOptions

from saccade_core.assets import asset
from saccade_core.errors import EngineFailed
from saccade_models.mediapipe_task import Task
from saccade_models.weights import local_model

BLACK = np.zeros((48, 64, 3), np.uint8)


def hands() -> HandLandmarker:
    base = BaseOptions(model_asset_path=str(local_model("hand_landmarker").path))
    return HandLandmarker.create_from_options(HandLandmarkerOptions(base_options=base))


def filters() -> dict[str, int]:
    """The number of seccomp filters on each thread of this process."""
    found: dict[str, int] = {}
    for thread in Path("/proc/self/task").iterdir():
        fields = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines() if ":" in line)
        found[thread.name] = int(fields["Seccomp_filters"])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_no_thread_of_mediapipe_has_internet() -> None:
    before = filters()
    task = Task(hands)
    assert task.detect(BLACK).hand_landmarks == []
    after = filters()
    new = {thread: count for thread, count in after.items() if thread not in before}
    assert len(new) >= 2
    assert set(new.values()) == {min(before.values()) + 1}
    assert {thread: after[thread] for thread in before if thread in after}.items() <= before.items()


def test_a_missing_system_library_is_named() -> None:
    def make() -> HandLandmarker:
        raise OSError("libEGL.so.1: cannot open shared object file: No such file or directory")

    with pytest.raises(EngineFailed, match="apt-get install libegl1 libgles2"):
        Task(make).detect(BLACK)


def test_a_process_that_looked_says_nothing_when_it_ends() -> None:
    code = (
        "import sys, cv2; from pathlib import Path; from saccade_models.landmarks import Settings, load\n"
        "landmarker = load('holistic', Path(sys.argv[1]), Settings())\n"
        "print(len(landmarker.find(cv2.imread(sys.argv[2]))))"
    )
    photo = asset("images/hands/call_044768ad.jpg")
    command = [sys.executable, "-c", code, str(local_model("holistic_landmarker").path), str(photo)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")
