"""Where ultralytics finds what it otherwise fetches, and what it may not do. Light: it does not import ultralytics."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import matplotlib as mpl

from saccade_core.assets import cache_folder

#: It looks for these in its folder, the second where class names are not ASCII; DejaVu Sans has both's letters.
_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")


def environment(folder: Path | None = None) -> dict[str, str]:
    """Variables that ultralytics reads when it is imported, to be set before that.

    It then fetches nothing (not even its fonts: they are put where it looks), installs nothing, and makes of a
    checkpoint nothing but networks. The settings file that it insists on is in ``folder`` (by default the one that
    YOLO_CONFIG_DIR names, else one in the cache folder), not in the home folder.
    """
    folder = folder or Path(os.environ.get("YOLO_CONFIG_DIR") or cache_folder() / "ultralytics")
    own = folder / "Ultralytics"
    own.mkdir(parents=True, exist_ok=True)
    for name in _FONTS:
        if not (own / name).exists():
            part = own / f".{name}.{os.getpid()}"
            shutil.copyfile(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", part)
            part.replace(own / name)
    return {
        "YOLO_CONFIG_DIR": str(folder),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "ULTRALYTICS_SAFE_LOAD": "1",
    }
