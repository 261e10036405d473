"""Rules about the code that import-linter cannot see; each was broken once on purpose to see it fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from saccade_kinds import registry

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "tensorflow", "keras", "mediapipe", "cv2", "ultralytics", "numpy", "onnxruntime", "av", "PIL"}
OWN = ("services", "shared", "workers")


def _imported_by(statement: str) -> set[str]:
    """Top-level modules that a clean process has after ``statement``."""
    code = f"{statement}\nimport json, sys; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "from saccade_kinds import registry; registry.kinds()",
        "import saccade_gateway.app",
        "import saccade_keeper.keeper",
        "import saccade.main",
        "import saccade_worker.app",
    ],
)
def test_a_clean_process_imports_nothing_heavy(statement: str) -> None:
    assert not _imported_by(statement) & HEAVY


def test_a_runner_does_import_what_it_needs() -> None:
    """The test above would notice: a runner's heavy imports show in the same way."""
    assert "cv2" in _imported_by("from saccade_kinds import registry; registry.load_runner('edit_image')")


def test_one_opencv_and_it_is_the_headless_one_below_5() -> None:
    found = {d.name.lower().replace("_", "-"): d.version for d in distributions() if "opencv" in d.name.lower()}
    assert list(found) == ["opencv-python-headless"]
    assert int(found["opencv-python-headless"].split(".")[0]) < 5


def test_opencv_carries_haar_cascades() -> None:
    import cv2

    file = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    assert not cv2.CascadeClassifier(str(file)).empty()


def _sources() -> list[Path]:
    return [path for folder in OWN for path in (ROOT / folder).rglob("*.py") if not _for_tests(path)]


def _for_tests(path: Path) -> bool:
    return path.name.endswith(("_test.py", "testing.py")) or path.name == "conftest.py"


@pytest.mark.parametrize("kind", list(registry.kinds()))
def test_a_kind_is_named_in_its_own_folder_only(kind: str) -> None:
    word = re.compile(rf"[\"']{kind}[\"']|\b{kind}\.(runner|contract)\b")
    elsewhere = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if kind not in path.parts and word.search(path.read_text("utf-8"))
    ]
    assert elsewhere == []


def test_modules_are_short() -> None:
    long = {str(p.relative_to(ROOT)): n for p in _sources() if (n := len(p.read_text("utf-8").splitlines())) > 330}
    assert long == {}


def test_every_kind_has_a_runner_a_test_and_a_sample() -> None:
    for name in registry.kinds():
        folder = ROOT / "workers" / "kinds" / "saccade_kinds" / name
        missing = [part for part in ("runner.py", "sample/request.json") if not (folder / part).exists()]
        assert missing == [], name
        assert (folder / "runner_test.py").exists() or (folder / "runner_keras_test.py").exists(), name
        assert all(path.stat().st_size < 100_000 for files in registry.sample(name).files.values() for path in files)
