"""What ``edit_image`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from saccade_core.kind import Artifact, Input, Kind, Params, Result
from saccade_models.operations import OPERATION_NAMES, ImageFormat, Operation


class EditImageParams(Params):
    """The operations, done in order, and how the picture is written."""

    operations: list[Operation] = Field(
        default=[],
        max_length=50,
        description="Done one after the other, each on what the one before gave; none only converts the format. "
        f'Each is an object such as {{"op": "resize", "width": 320}}; op is one of {", ".join(OPERATION_NAMES)}; '
        "GET /v1/kinds/edit_image has what each takes",
    )
    format: ImageFormat = "png"
    quality: int = Field(default=90, ge=1, le=100, description="Of jpeg and webp")

    @model_validator(mode="after")
    def _taken_apart_once(self) -> Self:
        if sum(operation.op == "channels" for operation in self.operations) > 1:
            raise ValueError("operations may hold 'channels' once: its artefacts have fixed names")
        return self


class EditImageResult(Result):
    """The picture's final size in pixels; ``channels`` is 1 (grey), 3 (colour) or 4 (with transparency)."""

    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    channels: Annotated[int, Field(ge=1, le=4)]


KIND = Kind(
    name="edit_image",
    pool="cpu",
    summary="Crop, resize, rotate, draw, filter and convert a picture.",
    inputs={
        "image": Input(
            accepts=("image",),
            description="JPEG, PNG, WebP, TIFF (its first page), BMP, PNM or GIF, not animated, up to 100 megapixels",
        )
    },
    params=EditImageParams,
    result=EditImageResult,
    artifacts=(
        Artifact("image.*", "The edited picture: image.png, .jpg, .webp, .tiff or .bmp as params.format says"),
        Artifact("channel_*.png", "With the operation channels: one grey picture for each channel"),
    ),
    together=8,
)
