"""Operations that move pixels."""

from __future__ import annotations

import math

import cv2
import numpy as np

from saccade_core.errors import InvalidParams
from saccade_models import operations as ops
from saccade_models.draw import bgr
from saccade_models.images import MAX_PIXELS, Pixels

_INTERPOLATIONS = {
    "area": cv2.INTER_AREA,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}
_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
}
#: OpenCV's warps count pixels in 16 bits.
_MAX_WARP_SIDE = 32_766


def crop(image: Pixels, operation: ops.CropOperation, field: str) -> Pixels:
    """The part inside the box, whose corners are rounded."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(v) for v in operation.box)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        raise InvalidParams(
            f"The box must lie inside the picture, which is {width}x{height} at this step.",
            field=f"{field}.box",
            received=list(operation.box),
        )
    if x1 == x2 or y1 == y2:
        raise InvalidParams("The box is less than a pixel.", field=f"{field}.box", received=list(operation.box))
    return image[y1:y2, x1:x2].copy()


def resize(image: Pixels, operation: ops.ResizeOperation, field: str) -> Pixels:
    """Pixels interpolated to the wanted size; sides are rounded, and never below 1."""
    height, width = image.shape[:2]
    new_width, new_height = _target(width, height, operation)
    named = next((n for n in ("percent", "width", "height") if getattr(operation, n) is not None), "percent")
    check_size(new_width, new_height, f"{field}.{named}", getattr(operation, named))
    method = operation.interpolation
    if method == "auto":
        method = "area" if new_width <= width and new_height <= height else "cubic"
    resized = cv2.resize(image, (new_width, new_height), interpolation=_INTERPOLATIONS[method])
    return np.asarray(resized, dtype=np.uint8)


def _target(width: int, height: int, operation: ops.ResizeOperation) -> tuple[int, int]:
    if operation.percent is not None:
        scales = (operation.percent / 100,) * 2
    elif operation.keep_aspect:
        given = [side / old for side, old in ((operation.width, width), (operation.height, height)) if side is not None]
        scales = (min(given),) * 2
    else:
        scales = ((operation.width or width) / width, (operation.height or height) / height)
    return max(1, round(width * scales[0])), max(1, round(height * scales[1]))


def rotate(image: Pixels, operation: ops.RotateOperation, field: str) -> Pixels:
    """Turned counter-clockwise about the middle; bilinear but for right angles, which move whole pixels."""
    angle = operation.angle % 360
    height, width = image.shape[:2]
    if angle % 180 == 0 or (angle % 90 == 0 and (operation.expand or width == height)):
        return np.ascontiguousarray(np.rot90(image, round(angle / 90)))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    new_width, new_height = width, height
    if operation.expand:
        # A hair less than the exact extent, so that rounding errors add no empty row.
        new_width = math.ceil(width * abs(cos) + height * abs(sin) - 1e-6)
        new_height = math.ceil(width * abs(sin) + height * abs(cos) - 1e-6)
        check_size(new_width, new_height, f"{field}.expand", operation.expand)
    if max(new_width, new_height, width, height) > _MAX_WARP_SIDE:
        raise InvalidParams(
            f"Pictures over {_MAX_WARP_SIDE} pixels a side are turned by multiples of 90 degrees only.",
            field=f"{field}.angle",
            received=operation.angle,
        )
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    matrix[:, 2] += ((new_width - width) / 2, (new_height - height) / 2)
    turned = cv2.warpAffine(
        image,
        matrix,
        (new_width, new_height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=_fill(operation.fill, image),
    )
    return np.asarray(turned, dtype=np.uint8)


def flip(image: Pixels, operation: ops.FlipOperation, _field: str) -> Pixels:
    """Mirrored."""
    code = {"horizontal": 1, "vertical": 0, "both": -1}[operation.direction]
    return np.asarray(cv2.flip(image, code), dtype=np.uint8)


def pad(image: Pixels, operation: ops.PadOperation, field: str) -> Pixels:
    """With margins; ``reflect`` mirrors about the border pixel, which is not doubled."""
    height, width = image.shape[:2]
    across, down = operation.left + operation.right, operation.top + operation.bottom
    check_size(width + across, height + down, f"{field}.{'left' if across >= down else 'top'}", max(across, down))
    padded = cv2.copyMakeBorder(
        image,
        operation.top,
        operation.bottom,
        operation.left,
        operation.right,
        _BORDERS[operation.mode],
        value=_fill(operation.color, image),
    )
    return np.asarray(padded, dtype=np.uint8)


def check_size(width: int, height: int, field: str, received: object) -> None:
    """InvalidParams where a picture of that size would be over the caps that read pictures have too."""
    if width * height > MAX_PIXELS or max(width, height) > ops.MAX_SIDE:
        raise InvalidParams(
            f"The picture would become {width}x{height}; at most {MAX_PIXELS:,} pixels and {ops.MAX_SIDE:,} a side "
            "are made.",
            field=field,
            received=received,
        )


def _fill(color: str | None, image: Pixels) -> tuple[float, ...]:
    """A border colour in the picture's channels; none is all zeros: black, and transparent with alpha."""
    if color is None:
        return (0, 0, 0, 0)
    blue, green, red = bgr(color)
    if image.ndim == 2:
        return (round(0.114 * blue + 0.587 * green + 0.299 * red), 0, 0, 0)
    return (blue, green, red, 255)
