"""What ``match_template`` takes and gives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result

Scale = Annotated[float, Field(ge=0.05, le=20)]


class MatchTemplateParams(Params):
    """How alike a place must be, and at which sizes the template is looked for."""

    threshold: float = Field(
        default=0.8, ge=0, le=1, description="Least correlation coefficient; 1 is the same but for light and contrast"
    )
    max_matches: int = Field(default=1000, ge=1, le=10_000, description="The best so many are kept")
    scales: list[Scale] = Field(
        default=[1.0], min_length=1, max_length=50, description="Sizes to try; 2 is the template enlarged twice"
    )


class MatchTemplateMatch(Result):
    """One place: ``box`` [x1, y1, x2, y2] in pixels, x2 and y2 not part of it; ``score`` 0..1."""

    box: tuple[int, int, int, int]
    score: Annotated[float, Field(ge=0, le=1)]


class MatchTemplateResult(Result):
    """All matches, best first."""

    matches: list[MatchTemplateMatch]


_READABLE = "JPEG, PNG, WebP, TIFF (its first page), BMP, PNM or GIF, not animated"

KIND = Kind(
    name="match_template",
    pool="cpu",
    summary="Find every place in a picture that looks like a template.",
    inputs={
        "image": Input(accepts=("image",), description=f"The picture to search: {_READABLE}"),
        "template": Input(
            accepts=("image",),
            description=f"What to look for, with some texture and no larger than the picture: {_READABLE}",
        ),
    },
    params=MatchTemplateParams,
    result=MatchTemplateResult,
    artifacts=(Artifact("overlay.png", "The picture with the matches drawn in"),),
    together=8,
)
