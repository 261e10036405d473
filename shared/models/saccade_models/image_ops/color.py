"""Operations on each pixel's value."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_models import operations as ops
from saccade_models.images import Pixels, channels_of, to_bgr, to_gray

_NAMES = ("blue", "green", "red", "alpha")


def brightness(image: Pixels, operation: ops.BrightnessOperation, _field: str) -> Pixels:
    """``value + offset``, rounded and cut off at 0 and 255; alpha stays."""
    return _mapped(image, lambda values: values + operation.offset)


def contrast(image: Pixels, operation: ops.ContrastOperation, _field: str) -> Pixels:
    """``(value - middle) * factor + middle``, rounded and cut off at 0 and 255; alpha stays."""
    return _mapped(image, lambda values: (values - operation.middle) * operation.factor + operation.middle)


def grayscale(image: Pixels, _operation: ops.GrayscaleOperation, _field: str) -> Pixels:
    """Luma, ``(H, W)``."""
    return to_gray(image)


def keep_channels(image: Pixels, operation: ops.ChannelsOperation, _field: str) -> Pixels:
    """The channels that are not kept become 0; alpha stays."""
    dropped = [i for i, name in enumerate(_NAMES[:3]) if name not in operation.keep]
    if not dropped:
        return image.copy()
    kept = to_bgr(image) if image.ndim == 2 else image.copy()
    kept[:, :, dropped] = 0
    return kept


def split(image: Pixels) -> dict[str, Pixels]:
    """Channels by name, each ``(H, W)``."""
    if channels_of(image) == 1:
        return {"gray": image}
    return {name: np.ascontiguousarray(image[:, :, i]) for i, name in enumerate(_NAMES[: image.shape[2]])}


def threshold(image: Pixels, operation: ops.ThresholdOperation, _field: str) -> Pixels:
    """0 or 255, ``(H, W)``: luma above a fixed value, Otsu's value (1979), or the window's mean less ``below_mean``."""
    gray = to_gray(image)
    kind = cv2.THRESH_BINARY_INV if operation.invert else cv2.THRESH_BINARY
    if operation.method == "adaptive":
        binary = cv2.adaptiveThreshold(
            gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, kind, operation.block_size, operation.below_mean
        )
    else:
        otsu = cv2.THRESH_OTSU if operation.method == "otsu" else 0
        _, binary = cv2.threshold(gray, operation.value, 255, kind | otsu)
    return np.asarray(binary, dtype=np.uint8)


def _mapped(image: Pixels, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Pixels:
    """Each colour value through ``function``, by a table of its 256 results."""
    values = function(np.arange(256, dtype=np.float64))
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    mapped = np.asarray(cv2.LUT(image, table), dtype=np.uint8)
    if channels_of(image) == 4:
        mapped[:, :, 3] = image[:, :, 3]
    return mapped
