"""What a picture classifier takes: saved beside the model as ``preprocess.json``. Light: pydantic only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Side = Annotated[int, Field(ge=1, le=4096)]


class PictureInput(BaseModel):
    """How a picture becomes the network's input, and what its outputs are called.

    A picture is made upright by its EXIF orientation, turned into ``channels`` (1: grey, luma of ITU-R BT.601; 3: RGB,
    in this order; transparency is laid over white), resized to ``height`` x ``width`` without keeping its proportions,
    and each of its values 0..255 becomes ``(value * scale - mean) / std``. ``labels`` are the classes in the order of
    the outputs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Literal["pictures"] = "pictures"
    height: Side
    width: Side
    channels: Literal[1, 3]
    scale: float = Field(default=1 / 255, gt=0)
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)
    labels: list[str] = Field(min_length=2, max_length=1000)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def value_range(self) -> tuple[float, float]:
        """What black and white become."""
        return -self.mean / self.std, (255 * self.scale - self.mean) / self.std
