"""``python -m saccade_models.export NAME``: make the ONNX form of registered YOLO weights that are here, once.

It runs in a process of its own with torch and ultralytics (the torch pool's environment) and reaches out to nobody.
Batch, height and width are free: a picture that is not square costs no more than its own pixels (16:9: 15 ms against
25 ms on one core). The class names are in the file's metadata.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from importlib.metadata import version as installed
from pathlib import Path

from saccade_core.assets import is_right
from saccade_core.errors import SaccadeError
from saccade_models import derived
from saccade_models.detectors.ultralytics_home import environment
from saccade_models.weights import ModelVersion, local_file, missing, versions

INPUT_SIZE = 640
_MAKERS = ("ultralytics", "torch", "onnx", "onnxslim")


def export(name: str) -> derived.Form:
    """The form of the first version of ``name`` whose weights are here, made unless it is there already.

    Raises errors.ModelMissing where no version's weights are here.
    """
    for version in versions(name):
        weights = local_file(version.files["weights"])
        if version.exported and weights is not None:
            return _export_once(version, weights)
    raise missing(name)


def _export_once(version: ModelVersion, weights: Path) -> derived.Form:
    with derived.making(version.sha256) as work:
        found = derived.find(version.sha256)
        if found is not None:
            return found
        checkpoint = work / "model.pt"
        shutil.copyfile(weights, checkpoint)
        if not is_right(checkpoint, version.sha256, version.files["weights"].bytes):
            raise missing(version.name)  # altered since it was looked at; a checkpoint is never loaded unchecked
        made_by = {maker: installed(maker) for maker in _MAKERS}
        return derived.put(_run_ultralytics(checkpoint), version.sha256, made_by)


def _run_ultralytics(checkpoint: Path) -> Path:
    """The ONNX file that ultralytics makes beside the checkpoint."""
    os.environ |= {**environment(checkpoint.parent), "YOLO_VERBOSE": "false"}
    return to_onnx(checkpoint)


def to_onnx(checkpoint: Path, input_size: int = INPUT_SIZE) -> Path:
    """The ONNX form of a trusted checkpoint, made beside it; the caller has set ultralytics' environment."""
    from ultralytics import YOLO, settings  # pyright: ignore[reportPrivateImportUsage] - it lists no exports

    settings.update({"sync": False})
    model = YOLO(checkpoint, task="detect", verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ultralytics exports in torch's older way, which warns of itself
        made = model.export(format="onnx", imgsz=input_size, dynamic=True, simplify=True, device="cpu", verbose=False)
    return Path(made)


def main() -> None:
    """Entry point; the last line of stderr tells what failed."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m saccade_models.export NAME")
    try:
        export(sys.argv[1])
    except SaccadeError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
