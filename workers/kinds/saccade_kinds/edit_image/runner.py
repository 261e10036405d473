"""Runs ``edit_image``."""

from __future__ import annotations

import cv2

from saccade_core.kind import Context, Inputs
from saccade_kinds.edit_image.contract import EditImageParams, EditImageResult
from saccade_models import image_ops
from saccade_models.images import EXTENSIONS, channels_of, read_image, write_image

# Several processes side by side are faster than one with many threads.
cv2.setNumThreads(1)


def run(inputs: Inputs, params: EditImageParams, context: Context) -> EditImageResult:
    """Apply the operations in order; InvalidParams names the one that does not fit the picture."""
    context.uses_model("opencv", cv2.__version__)
    steps = len(params.operations) + 2
    context.progress(0, steps, "reading")
    pixels = read_image(inputs.one("image"), "native").pixels
    for number, operation in enumerate(params.operations):
        context.progress(number + 1, steps, operation.op)
        if operation.op == "channels":
            for name, channel in image_ops.split_channels(pixels).items():
                write_image(context.artifact(f"channel_{name}.png"), channel)
        pixels = image_ops.apply(pixels, operation, f"params.operations[{number}]")
    context.progress(steps - 1, steps, "writing")
    write_image(context.artifact(f"image.{EXTENSIONS[params.format]}"), pixels, params.format, params.quality)
    context.progress(steps, steps, "done")
    # JPEG holds no transparency: what the file has, not what the last operation gave.
    channels = min(3, channels_of(pixels)) if params.format == "jpeg" else channels_of(pixels)
    return EditImageResult(width=pixels.shape[1], height=pixels.shape[0], channels=channels)
