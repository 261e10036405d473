"""Reads the pictures one by one and encodes them."""

from __future__ import annotations

import av
import cv2
import numpy as np

from saccade_core.errors import InputTooLarge, InvalidRequest
from saccade_core.kind import Context, InputFile, Inputs
from saccade_kinds.assemble_video.contract import AssembleVideoParams, AssembleVideoResult
from saccade_models.images import Pixels, read_image
from saccade_models.video import VideoReader
from saccade_models.video_open import VideoLimits
from saccade_models.video_write import MAX_SIDE, SUFFIXES, VideoWriter


def run(inputs: Inputs, params: AssembleVideoParams, context: Context) -> AssembleVideoResult:
    """Make the video; raises UnreadableInput and InputTooLarge naming the picture."""
    files = inputs.many("images")
    if not files:
        raise InvalidRequest("Input 'images' takes at least one file.", field="inputs.images", received=0)
    context.uses_model("ffmpeg", f"pyav {av.__version__}")
    path = context.artifact(f"video{SUFFIXES[params.codec]}")
    first = read_image(files[0]).pixels
    height, width = first.shape[:2]
    _check_size(files[0], width, height)
    with VideoWriter(path, width=width, height=height, fps=params.fps, codec=params.codec) as writer:
        for done, file in enumerate(files, start=1):
            pixels = first if done == 1 else read_image(file).pixels
            writer.write(letterbox(pixels, width, height))
            context.progress(done, len(files), "frames")
    with VideoReader(path, tick=context.check_cancelled) as video:
        return AssembleVideoResult(video=video.facts)


def letterbox(pixels: Pixels, width: int, height: int) -> Pixels:
    """``pixels`` (BGR) scaled to fit inside ``width`` x ``height``, aspect kept, in the middle of black bars."""
    old_height, old_width = pixels.shape[:2]
    if (old_width, old_height) == (width, height):
        return pixels
    scale = min(width / old_width, height / old_height)
    new_width, new_height = max(1, round(old_width * scale)), max(1, round(old_height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    x, y = (width - new_width) // 2, (height - new_height) // 2
    canvas[y : y + new_height, x : x + new_width] = cv2.resize(pixels, (new_width, new_height), interpolation=method)
    return canvas


def _check_size(file: InputFile, width: int, height: int) -> None:
    most = VideoLimits().max_pixels
    if width * height > most or max(width, height) > MAX_SIDE:
        text = f"The first picture sets the video's size: at most {most:,} pixels and {MAX_SIDE} a side."
        raise InputTooLarge(text, field=file.field, received=f"{width}x{height}")
