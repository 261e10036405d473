from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from saccade_models.operations import FrameOperation, Operation

ANY: TypeAdapter[Operation] = TypeAdapter(Operation)
OF_FRAMES: TypeAdapter[FrameOperation] = TypeAdapter(FrameOperation)

GOOD: list[dict[str, Any]] = [
    {"op": "brightness", "offset": 12},
    {"op": "contrast", "factor": 1.5},
    {"op": "grayscale"},
    {"op": "channels", "keep": ["red"]},
    {"op": "crop", "box": [0, 0, 3.5, 2]},
    {"op": "resize", "percent": 50},
    {"op": "resize", "width": 20, "keep_aspect": False, "interpolation": "area"},
    {"op": "rotate", "angle": -33.3, "expand": True},
    {"op": "flip"},
    {"op": "draw_box", "box": [1, 1, 3, 3], "label": "x"},
    {"op": "draw_text", "text": "hello", "position": [3, 4]},
    {"op": "blur", "method": "box", "size": 4},
    {"op": "canny", "low": 10, "high": 20},
    {"op": "sobel", "size": 5},
    {"op": "laplacian"},
    {"op": "convolve", "kernel": [[1, 2], [3, 4]], "normalize": True},
    {"op": "threshold", "method": "adaptive", "block_size": 5},
    {"op": "pad", "top": 3},
    {"op": "pool", "size": 3, "stride": 1},
]
CHANGES_SIZE = {"crop", "resize", "rotate", "pad", "pool"}

BAD: list[tuple[dict[str, Any], str]] = [
    ({"op": "explode"}, "does not match any of the expected tags"),
    ({"op": "flip", "way": 1}, "Extra inputs"),
    ({"op": "brightness", "offset": 256}, "255"),
    ({"op": "brightness", "offset": float("nan")}, "finite"),
    ({"op": "contrast"}, "Field required"),
    ({"op": "crop", "box": [5, 0, 5, 9]}, "x2 > x1"),
    ({"op": "crop", "box": [0, 0, 5]}, "Field required"),
    ({"op": "resize"}, "either percent"),
    ({"op": "resize", "percent": 50, "width": 3}, "either percent"),
    ({"op": "resize", "width": 0}, "greater than or equal to 1"),
    ({"op": "draw_box", "box": [0, 0, 1, 1], "color": "red"}, "pattern"),
    ({"op": "draw_text", "text": ""}, "at least 1"),
    ({"op": "blur", "size": 4}, "odd"),
    ({"op": "blur", "method": "median", "size": 101}, "99"),
    ({"op": "canny", "low": 9, "high": 8}, "must not be above"),
    ({"op": "sobel", "size": 2}, "odd"),
    ({"op": "laplacian", "size": 9}, "7"),
    ({"op": "convolve", "kernel": [[1, 2], [3]]}, "equally long"),
    ({"op": "convolve", "kernel": [[1, -1]], "normalize": True}, "sum is 0"),
    ({"op": "convolve", "kernel": []}, "at least 1"),
    ({"op": "convolve", "kernel": [[0] * 100]}, "99"),
    ({"op": "threshold", "method": "adaptive", "block_size": 4}, "odd"),
    ({"op": "pad", "top": -1}, "greater than or equal to 0"),
    ({"op": "pool", "size": 0}, "greater than or equal to 1"),
]


@pytest.mark.parametrize("given", GOOD, ids=lambda g: str(g["op"]))
def test_good_operations_pass_and_only_size_keeping_ones_are_for_frames(given: dict[str, Any]) -> None:
    operation = ANY.validate_python(given)
    assert ANY.validate_json(ANY.dump_json(operation)) == operation
    if given["op"] in CHANGES_SIZE:
        with pytest.raises(ValidationError, match="expected tags"):
            OF_FRAMES.validate_python(given)
    else:
        assert OF_FRAMES.validate_python(given) == operation


@pytest.mark.parametrize(("given", "words"), BAD, ids=lambda v: v if isinstance(v, str) else v["op"])
def test_a_broken_rule_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ANY.validate_python(given)


def test_every_operation_has_a_good_example_here() -> None:
    schema = ANY.json_schema()
    assert set(schema["discriminator"]["mapping"]) == {g["op"] for g in GOOD}


def test_the_module_is_light() -> None:
    """Contracts import it, and with them the gateway, which must not load numpy or OpenCV."""
    code = "import sys, saccade_models.operations; print(sorted({'numpy', 'cv2', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
