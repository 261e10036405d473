"""What each operation of ``operations`` does: pure functions from pixels to new pixels.

Pixels are as in ``images``: uint8, grey ``(H, W)``, BGR or BGRA. The input is never changed. A rule that only the
picture can decide (a crop outside it, a result over the pixel cap) raises InvalidParams naming the operation's
field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from saccade_core.kind import Params
from saccade_models import operations as ops
from saccade_models.image_ops import color, drawing, filters, geometry
from saccade_models.images import Pixels

#: The one place that says which function does which operation.
FUNCTIONS: Mapping[type[Params], Callable[[Pixels, Any, str], Pixels]] = {
    ops.BrightnessOperation: color.brightness,
    ops.ContrastOperation: color.contrast,
    ops.GrayscaleOperation: color.grayscale,
    ops.ChannelsOperation: color.keep_channels,
    ops.ThresholdOperation: color.threshold,
    ops.CropOperation: geometry.crop,
    ops.ResizeOperation: geometry.resize,
    ops.RotateOperation: geometry.rotate,
    ops.FlipOperation: geometry.flip,
    ops.PadOperation: geometry.pad,
    ops.DrawBoxOperation: drawing.draw_box,
    ops.DrawTextOperation: drawing.draw_text,
    ops.BlurOperation: filters.blur,
    ops.CannyOperation: filters.canny,
    ops.SobelOperation: filters.sobel,
    ops.LaplacianOperation: filters.laplacian,
    ops.ConvolveOperation: filters.convolve,
    ops.PoolOperation: filters.pool,
}


def apply(image: Pixels, operation: ops.Operation, field: str = "params.operations[0]") -> Pixels:
    """``operation`` done on ``image``; ``field`` is the operation's place in the request, for InvalidParams."""
    return FUNCTIONS[type(operation)](image, operation, field)


def split_channels(image: Pixels) -> dict[str, Pixels]:
    """Each channel as a grey picture, by name: ``gray``, or ``blue, green, red`` and, where there is one, ``alpha``."""
    return color.split(image)
