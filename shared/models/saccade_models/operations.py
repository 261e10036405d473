"""The image operations as parameters: light (pydantic only), so that contracts may import it.

What each operation does is in ``image_ops``; the kinds ``edit_image`` (``Operation``) and ``edit_video``
(``FrameOperation``: those that keep a frame's size) take lists of them. Coordinates and sizes are in pixels of
the picture as it is when the operation's turn comes; colours are ``#rrggbb``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from saccade_core.kind import Params

#: What a picture can be written as.
ImageFormat = Literal["png", "jpeg", "webp", "tiff", "bmp"]
#: No side of a made picture may be longer (the longest that OpenCV's own file formats take).
MAX_SIDE = 65_500
#: No more numbers in one convolution kernel's row or column, or pixels in a filter's or pool's side.
MAX_KERNEL = 99


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        raise ValueError("a box is [x1, y1, x2, y2] with x2 > x1 and y2 > y1")
    return box


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("must be odd, so that the window has a middle pixel")
    return size


Coordinate = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]
TextCoordinate = Annotated[float, Field(ge=0, le=MAX_SIDE)]
Box = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate],
    AfterValidator(_ordered),
    Field(description="[x1, y1, x2, y2] in pixels; x2 and y2 are not part of it"),
]
Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", description="#rrggbb")]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Margin = Annotated[int, Field(ge=0, le=10_000)]
OddSize = Annotated[int, Field(ge=1, le=7), AfterValidator(_odd)]


class BrightnessOperation(Params):
    """Adds the same value to every colour, cut off at 0 and 255."""

    op: Literal["brightness"]
    offset: float = Field(ge=-255, le=255, description="Added to every colour value: above 0 is brighter")


class ContrastOperation(Params):
    """Spreads the colours around a middle value: ``(value - middle) * factor + middle``, cut off at 0 and 255."""

    op: Literal["contrast"]
    factor: float = Field(ge=0, le=20, description="Above 1 is more contrast, below 1 less")
    middle: float = Field(default=127.5, ge=0, le=255, description="The value that stays as it is")


class GrayscaleOperation(Params):
    """One channel of luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); transparent pixels become white."""

    op: Literal["grayscale"]


ChannelName = Literal["blue", "green", "red"]


class ChannelsOperation(Params):
    """Takes the picture apart: a grey artefact per channel; channels that are not kept turn black."""

    op: Literal["channels"]
    keep: list[ChannelName] = Field(
        default=["blue", "green", "red"],
        min_length=1,
        max_length=3,
        description="The channels that the picture itself goes on with",
    )


class CropOperation(Params):
    """Cuts out a box, which must lie inside the picture; its corners are rounded to whole pixels."""

    op: Literal["crop"]
    box: Box


class ResizeOperation(Params):
    """Another size: by ``percent``, or by ``width``, ``height`` or both."""

    op: Literal["resize"]
    percent: float | None = Field(default=None, gt=0, le=10_000, description="Of both sides; 100 is the same size")
    width: Side | None = None
    height: Side | None = None
    keep_aspect: bool = Field(
        default=True,
        description="With one side the other follows; with both the picture fits inside them. False: the sides "
        "are taken as they are, and one not given stays",
    )
    interpolation: Literal["auto", "area", "linear", "cubic", "nearest"] = Field(
        default="auto", description="auto: area to shrink, cubic to enlarge"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.percent is None) == (self.width is None and self.height is None):
            raise ValueError("give either percent, or width, height or both")
        return self


class RotateOperation(Params):
    """Turns about the middle; multiples of 90 degrees move pixels without changing them."""

    op: Literal["rotate"]
    angle: float = Field(ge=-3600, le=3600, description="Degrees counter-clockwise")
    expand: bool = Field(default=False, description="Make the picture large enough to hold all of it")
    fill: Color | None = Field(
        default=None, description="Colour of what the turned picture leaves free; none: black, transparent with alpha"
    )


class FlipOperation(Params):
    """Mirrors: ``horizontal`` swaps left and right, ``vertical`` top and bottom."""

    op: Literal["flip"]
    direction: Literal["horizontal", "vertical", "both"] = "horizontal"


class DrawBoxOperation(Params):
    """A rectangle, with a label if wanted; what lies outside the picture is cut off."""

    op: Literal["draw_box"]
    box: Box
    color: Color = "#00c853"
    thickness: int | None = Field(default=None, ge=1, le=500, description="Pixels; from the picture's size if none")
    fill: bool = False
    label: str = Field(default="", max_length=200)


class DrawTextOperation(Params):
    """A line or lines of text with the top left corner at ``position``."""

    op: Literal["draw_text"]
    text: str = Field(min_length=1, max_length=1000)
    position: tuple[TextCoordinate, TextCoordinate] = Field(default=(0, 0), description="[x, y] of the top left corner")
    size: int | None = Field(
        default=None, ge=4, le=1000, description="Letters' height; from the picture's size if none"
    )
    color: Color = "#ffffff"
    background: Color | None = Field(default=None, description="Colour of a box behind the text: #rrggbb")


class BlurOperation(Params):
    """Smooths with a square window."""

    op: Literal["blur"]
    method: Literal["gaussian", "median", "box"] = "gaussian"
    size: int = Field(default=5, ge=1, le=MAX_KERNEL, description="Side of the window; odd, but for the box any")
    sigma: float = Field(default=0, ge=0, le=100, description="Of the Gaussian, in pixels; 0: from the size")

    @model_validator(mode="after")
    def _middle(self) -> Self:
        if self.method != "box" and self.size % 2 == 0:
            raise ValueError(f"size must be odd for the {self.method} blur, received {self.size}")
        return self


class CannyOperation(Params):
    """Canny's edges (1986): one channel, 255 on an edge and 0 elsewhere."""

    op: Literal["canny"]
    low: float = Field(default=100, ge=0, le=100_000, description="Gradient from which an edge is continued")
    high: float = Field(default=200, ge=0, le=100_000, description="Gradient from which an edge begins")
    aperture: Literal[3, 5, 7] = Field(default=3, description="Side of the Sobel window")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not be above high ({self.high:g})")
        return self


class SobelOperation(Params):
    """Absolute Sobel derivative of each channel (``both``: length of the gradient), cut off at 255."""

    op: Literal["sobel"]
    direction: Literal["x", "y", "both"] = "both"
    size: Annotated[OddSize, Field(description="Side of the window: 1, 3, 5 or 7")] = 3


class LaplacianOperation(Params):
    """Absolute Laplacian (sum of second derivatives) of each channel, cut off at 255."""

    op: Literal["laplacian"]
    size: Annotated[OddSize, Field(description="Side of the window: 1, 3, 5 or 7")] = 3


KernelRow = Annotated[
    list[Annotated[float, Field(ge=-1_000_000, le=1_000_000)]], Field(min_length=1, max_length=MAX_KERNEL)
]


class ConvolveOperation(Params):
    """Filters with any kernel, odd or even; outside, the picture is mirrored about its border pixels.

    As image and network libraries do, the kernel is laid over the picture as it is written (a correlation);
    ``flip_kernel`` turns it by 180 degrees first, which is the convolution of mathematics. The kernel's middle is
    at ``(columns // 2, rows // 2)``.
    """

    op: Literal["convolve"]
    kernel: list[KernelRow] = Field(min_length=1, max_length=MAX_KERNEL, description="Rows of numbers")
    normalize: bool = Field(default=False, description="Divide by the kernel's sum, so that brightness stays")
    flip_kernel: bool = False
    offset: float = Field(default=0, ge=-255, le=255, description="Added afterwards, before cutting off at 0 and 255")

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        lengths = sorted({len(row) for row in self.kernel})
        if len(lengths) > 1:
            raise ValueError(f"the kernel's rows must be equally long, received lengths {lengths}")
        if self.normalize and abs(sum(map(sum, self.kernel))) < 1e-9:
            raise ValueError("a kernel whose sum is 0 cannot be normalized")
        return self


class ThresholdOperation(Params):
    """Black and white: one channel, 255 where the luma is above the threshold and 0 elsewhere."""

    op: Literal["threshold"]
    method: Literal["fixed", "otsu", "adaptive"] = "fixed"
    value: float = Field(default=127, ge=0, le=255, description="The threshold, for fixed")
    block_size: Annotated[
        int, AfterValidator(_odd), Field(ge=3, le=999, description="Side of the window around a pixel, for adaptive")
    ] = 11
    below_mean: float = Field(
        default=2, ge=-255, le=255, description="How far the threshold lies below the window's mean, for adaptive"
    )
    invert: bool = False


class PadOperation(Params):
    """Adds margins: of one colour, of the border pixels repeated, or of the picture mirrored."""

    op: Literal["pad"]
    top: Margin = 0
    bottom: Margin = 0
    left: Margin = 0
    right: Margin = 0
    mode: Literal["constant", "replicate", "reflect"] = "constant"
    color: Color | None = Field(default=None, description="Of constant margins; none: black, transparent with alpha")


class PoolOperation(Params):
    """Pools each channel over windows that lie wholly inside the picture, as a network's pooling layer does."""

    op: Literal["pool"]
    method: Literal["max", "average", "min"] = "max"
    size: int = Field(default=2, ge=1, le=MAX_KERNEL, description="Side of the window")
    stride: int | None = Field(default=None, ge=1, le=MAX_KERNEL, description="Step; the size if none")


SizeKeepingOperation = (
    BrightnessOperation
    | ContrastOperation
    | GrayscaleOperation
    | ChannelsOperation
    | FlipOperation
    | DrawBoxOperation
    | DrawTextOperation
    | BlurOperation
    | CannyOperation
    | SobelOperation
    | LaplacianOperation
    | ConvolveOperation
    | ThresholdOperation
)
SizeChangingOperation = CropOperation | ResizeOperation | RotateOperation | PadOperation | PoolOperation

#: An operation that gives a frame of the same width and height.
FrameOperation = Annotated[SizeKeepingOperation, Field(discriminator="op")]
#: Any operation.
Operation = Annotated[SizeKeepingOperation | SizeChangingOperation, Field(discriminator="op")]
#: What ``op`` may be.
OPERATION_NAMES: tuple[str, ...] = tuple(
    get_args(model.model_fields["op"].annotation)[0] for model in get_args(SizeKeepingOperation | SizeChangingOperation)
)
