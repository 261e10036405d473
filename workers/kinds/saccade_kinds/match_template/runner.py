"""Runs ``match_template``."""

from __future__ import annotations

import cv2

from saccade_core.kind import Context, Inputs
from saccade_kinds.match_template.contract import MatchTemplateMatch, MatchTemplateParams, MatchTemplateResult
from saccade_kinds.match_template.search import Match, best, candidates, scaled_templates
from saccade_models.draw import Mark, draw_marks, text_size
from saccade_models.images import Pixels, read_image, write_image

# Several processes side by side are faster than one with many threads.
cv2.setNumThreads(1)


def run(inputs: Inputs, params: MatchTemplateParams, context: Context) -> MatchTemplateResult:
    """Search at every scale; raises InvalidParams where the template has no texture or is too large at all of them."""
    context.uses_model("opencv", cv2.__version__)
    image = read_image(inputs.one("image")).pixels
    file = inputs.one("template")
    templates = scaled_templates(read_image(file).pixels, params.scales, image.shape, file)
    found: list[Match] = []
    for number, template in enumerate(templates):
        context.progress(number, len(templates) + 1, "searching")
        found += candidates(image, template, params.threshold)
    matches = best(found, params.max_matches)
    context.progress(len(templates), len(templates) + 1, "drawing")
    _draw(image, matches)
    write_image(context.artifact("overlay.png"), image)
    context.progress(len(templates) + 1, len(templates) + 1, "done")
    return MatchTemplateResult(matches=[MatchTemplateMatch(box=m.box, score=m.score) for m in matches])


def _draw(image: Pixels, matches: list[Match]) -> None:
    """Boxes in place; with scores where their labels are not larger than what was found."""
    roomy = all(m.box[2] - m.box[0] >= 2.5 * text_size(image) for m in matches)
    draw_marks(image, [Mark(m.box, score=m.score if roomy else None) for m in matches])
