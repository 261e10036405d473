from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from saccade_worker.scratch import Scratch


def test_a_job_has_a_folder_of_its_own_for_as_long_as_it_runs(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    with scratch.for_job("job_1", 1) as first, scratch.for_job("job_1", 2) as second:
        assert first != second
        (first / "artifacts" / "a.txt").write_text("a")
        assert list((second / "artifacts").iterdir()) == []
    assert not first.exists() and not second.exists()
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    living = Scratch(tmp_path)
    code = (
        "import os, pathlib, sys; from saccade_worker.scratch import Scratch\n"
        "scratch = Scratch(pathlib.Path(sys.argv[1])); (scratch.path / 'big').write_text('left'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    [left] = [folder for folder in tmp_path.iterdir() if (folder / "big").exists()]
    newcomer = Scratch(tmp_path)
    assert not left.exists()
    assert living.path.exists() and newcomer.path.exists()
    living.close()
    newcomer.close()


def test_a_folder_without_a_lock_is_left_alone_while_it_may_be_in_the_making(tmp_path: Path) -> None:
    young, old = tmp_path / "young", tmp_path / "old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    Scratch(tmp_path).close()
    assert young.exists() and not old.exists()
