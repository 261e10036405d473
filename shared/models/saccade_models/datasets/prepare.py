"""Pictures as a classifier's input: the same steps in training and in prediction (``PictureInput`` says which)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from saccade_core.kind import InputFile
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.images import Pixels, read_image

cv2.setNumThreads(1)
#: Pixels of one file; it is made small anyway.
MAX_PIXELS = 50_000_000


def prepare(file: InputFile, wanted: PictureInput) -> NDArray[np.float32]:
    """A picture file as float32 (height, width, channels), RGB; raises as ``saccade_models.images.read_image``."""
    return as_floats(read_fitting(file, wanted), wanted)


def read_fitting(file: InputFile, wanted: PictureInput) -> Pixels:
    """A picture file as uint8 (height, width, channels), RGB; raises as ``saccade_models.images.read_image``."""
    pixels = read_image(file, "gray" if wanted.channels == 1 else "bgr", max_pixels=MAX_PIXELS).pixels
    return fitting(pixels if wanted.channels == 1 else pixels[:, :, ::-1], wanted)


def fitting(pixels: Pixels, wanted: PictureInput) -> Pixels:
    """uint8 (H, W) or (H, W, 1) grey or (H, W, 3) RGB as uint8 (height, width, channels)."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and wanted.channels == 1:
        pixels = np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    height, width = pixels.shape[:2]
    if (height, width) != (wanted.height, wanted.width):
        shrinks = height * width > wanted.height * wanted.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, (wanted.width, wanted.height), interpolation=how), dtype=np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], wanted.channels, axis=2)
    return np.ascontiguousarray(pixels)


def as_floats(pixels: Pixels, wanted: PictureInput) -> NDArray[np.float32]:
    """uint8 values, of any shape, as the network's: ``(value * scale - mean) / std``."""
    values = pixels.astype(np.float32)
    values *= np.float32(wanted.scale)
    values -= np.float32(wanted.mean)
    values /= np.float32(wanted.std)
    return values
