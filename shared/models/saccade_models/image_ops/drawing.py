"""Operations that draw; a grey picture becomes colour, so that the mark has the colour that was asked for."""

from __future__ import annotations

from saccade_models import draw
from saccade_models import operations as ops
from saccade_models.images import Pixels, to_bgr


def draw_box(image: Pixels, operation: ops.DrawBoxOperation, _field: str) -> Pixels:
    """A rectangle's border, grown inwards, or all of it; with its label on a plate of the same colour."""
    canvas, color = _canvas(image), draw.bgr(operation.color)
    draw.draw_box(canvas, operation.box, color, thickness=operation.thickness, fill=operation.fill)
    if operation.label:
        draw.draw_label(canvas, operation.label, operation.box, color)
    return canvas


def draw_text(image: Pixels, operation: ops.DrawTextOperation, _field: str) -> Pixels:
    """Lines of text."""
    canvas = _canvas(image)
    background = draw.bgr(operation.background) if operation.background else None
    draw.draw_text(
        canvas,
        operation.text,
        operation.position,
        draw.bgr(operation.color),
        size=operation.size,
        background=background,
    )
    return canvas


def _canvas(image: Pixels) -> Pixels:
    return to_bgr(image) if image.ndim == 2 else image.copy()
