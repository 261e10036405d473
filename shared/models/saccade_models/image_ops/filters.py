"""Operations that look at each pixel's neighbours. Outside, pictures are mirrored about their border pixels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InvalidParams
from saccade_models import operations as ops
from saccade_models.images import Pixels, to_gray

_Filter = Callable[[Pixels], NDArray[np.float32]]


def blur(image: Pixels, operation: ops.BlurOperation, _field: str) -> Pixels:
    """Gaussian (sigma 0: ``0.3 * ((size - 1) / 2 - 1) + 0.8``, as OpenCV), median or mean of the window."""
    size = operation.size
    match operation.method:
        case "gaussian":
            blurred = cv2.GaussianBlur(image, (size, size), operation.sigma)
        case "median":
            blurred = cv2.medianBlur(image, size)
        case "box":
            blurred = _mean(image, size, anchor=(-1, -1))
    return np.asarray(blurred, dtype=np.uint8)


def canny(image: Pixels, operation: ops.CannyOperation, _field: str) -> Pixels:
    """Edges of the luma (J. Canny, 1986), ``(H, W)``, 0 or 255."""
    edges = cv2.Canny(to_gray(image), operation.low, operation.high, apertureSize=operation.aperture)
    return np.asarray(edges, dtype=np.uint8)


def sobel(image: Pixels, operation: ops.SobelOperation, _field: str) -> Pixels:
    """``|dx|``, ``|dy|`` or ``sqrt(dx^2 + dy^2)`` of each colour channel, rounded and cut off at 255."""
    size, direction = operation.size, operation.direction

    def derivative(channel: Pixels) -> NDArray[np.float32]:
        if direction == "both":
            dx, dy = (cv2.Sobel(channel, cv2.CV_32F, x, 1 - x, ksize=size) for x in (1, 0))
            return np.asarray(cv2.magnitude(dx, dy), dtype=np.float32)
        x = int(direction == "x")
        return np.asarray(cv2.Sobel(channel, cv2.CV_32F, x, 1 - x, ksize=size), dtype=np.float32)

    return _absolute(image, derivative)


def laplacian(image: Pixels, operation: ops.LaplacianOperation, _field: str) -> Pixels:
    """``|d2/dx2 + d2/dy2|`` of each colour channel, rounded and cut off at 255."""
    return _absolute(image, lambda c: np.asarray(cv2.Laplacian(c, cv2.CV_32F, ksize=operation.size), dtype=np.float32))


def convolve(image: Pixels, operation: ops.ConvolveOperation, _field: str) -> Pixels:
    """Sum of the kernel's numbers times the pixels under it, plus the offset, rounded and cut off; alpha stays."""
    kernel = np.array(operation.kernel, dtype=np.float32)
    rows, columns = kernel.shape
    anchor = (columns // 2, rows // 2)
    if operation.normalize:
        kernel /= kernel.sum()
    if operation.flip_kernel:
        kernel, anchor = np.ascontiguousarray(kernel[::-1, ::-1]), (columns - 1 - anchor[0], rows - 1 - anchor[1])
    filtered = cv2.filter2D(_colors(image), -1, kernel, anchor=anchor, delta=operation.offset)
    return _with_alpha(np.asarray(filtered, dtype=np.uint8), image)


def pool(image: Pixels, operation: ops.PoolOperation, field: str) -> Pixels:
    """Maximum, mean or minimum of each window; ``floor((side - size) / stride) + 1`` windows along a side."""
    size, stride = operation.size, operation.stride or operation.size
    height, width = image.shape[:2]
    if size > min(height, width):
        raise InvalidParams(
            f"The window must fit into the picture, which is {width}x{height} at this step.",
            field=f"{field}.size",
            received=size,
        )
    # Anchored at its first pixel, the filter's value at (y, x) is that of the window that begins there.
    window, first = np.ones((size, size), dtype=np.uint8), (0, 0)
    match operation.method:
        case "max":
            pooled = cv2.dilate(image, window, anchor=first)
        case "min":
            pooled = cv2.erode(image, window, anchor=first)
        case "average":
            pooled = _mean(image, size, anchor=first)
    starts = np.asarray(pooled, dtype=np.uint8)[: height - size + 1 : stride, : width - size + 1 : stride]
    return np.ascontiguousarray(starts)


def _mean(image: Pixels, size: int, anchor: tuple[int, int]) -> Pixels:
    """Mean of each window, rounded; by way of floats, as OpenCV's 8-bit path adds up to 0.75 at small even sizes."""
    return np.asarray(
        cv2.convertScaleAbs(cv2.boxFilter(image, cv2.CV_32F, (size, size), anchor=anchor)), dtype=np.uint8
    )


def _absolute(image: Pixels, function: _Filter) -> Pixels:
    """``|function|`` of each colour channel; one at a time, as its floats need four times a channel's memory."""
    colors = _colors(image)
    planes = [colors] if colors.ndim == 2 else list(cv2.split(colors))
    done = [np.asarray(cv2.convertScaleAbs(function(np.asarray(p, np.uint8))), dtype=np.uint8) for p in planes]
    return _with_alpha(done[0] if len(done) == 1 else np.asarray(cv2.merge(done), dtype=np.uint8), image)


def _colors(image: Pixels) -> Pixels:
    """Without the alpha channel."""
    return np.ascontiguousarray(image[:, :, :3]) if image.ndim == 3 else image


def _with_alpha(colors: Pixels, image: Pixels) -> Pixels:
    """``colors`` with the alpha channel of ``image``, where that has one."""
    if image.ndim == 2 or image.shape[2] != 4:
        return colors
    return np.ascontiguousarray(np.dstack([colors, image[:, :, 3]]))
