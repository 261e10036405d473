"""Decoded pictures as arrays and as JPEG: orientation, colour range and colour matrix are put right here.

A video whose matrix is not named counts as ITU-R BT.601, as in FFmpeg and OpenCV. High dynamic range is not tone
mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import SupportsBytes, cast

import cv2
import numpy as np
import simplejpeg
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from saccade_models.images import Pixels

# Several processes side by side are faster than one with many threads; FFmpeg's decoder has threads of its own.
cv2.setNumThreads(1)

#: Weights of red and blue in luma (ITU-T H.273, table 4) by AVColorSpace; the rest counts as BT.601.
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a decoded picture must be turned to stand upright: first transposed, then flipped."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def upright(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.transpose or self.flip_x or self.flip_y)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after turning."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, pixels: Pixels) -> Pixels:
        """The upright picture of ``pixels`` (H, W, C)."""
        if self.transpose:
            pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
        if self.flip_x or self.flip_y:
            code = -1 if self.flip_x and self.flip_y else int(self.flip_x)
            pixels = np.asarray(cv2.flip(pixels, code), dtype=np.uint8)
        return pixels


def orientation(picture: VideoFrame) -> Orientation:
    """The orientation that the container's display matrix asks for; turns that are not by 90 degrees are left out.

    The matrix maps (x, y) to (a x + c y, b x + d y) (ISO/IEC 14496-12, 6.2.2); it is stored a b u c d v x y w.
    """
    # PyAV's stub calls the container a TypedDict with one key; it is a mapping by type.
    side_data = cast(Mapping[SideDataType, SupportsBytes], picture.side_data)
    if SideDataType.DISPLAYMATRIX not in side_data:
        return Orientation()
    matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), dtype=np.int32)
    a, b, _, c, d = (int(v) for v in matrix[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def to_bgr(picture: VideoFrame, size: tuple[int, int], turn: Orientation) -> Pixels:
    """The picture scaled to ``size`` (width, height) and then turned upright: (H, W, 3) uint8 BGR."""
    scales = size != (picture.width, picture.height)
    flags = Interpolation.AREA if scales else Interpolation.BILINEAR
    scaled = picture.reformat(width=size[0], height=size[1], format="bgr24", interpolation=flags, threads=1)
    return turn.apply(np.asarray(scaled.to_ndarray(), dtype=np.uint8))


def fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """The size of the same aspect ratio with no side longer than ``max_side``; never larger, at least 1 x 1."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_jpeg(picture: VideoFrame, size: tuple[int, int], turn: Orientation, quality: int) -> bytes:
    """As ``to_bgr``, as JPEG (4:2:0). 8-bit 4:2:0 planes go in as they are, without a detour over RGB."""
    as_is = turn.upright and size == (picture.width, picture.height)
    if as_is and picture.format.name in {"yuv420p", "yuvj420p"}:
        y, cb, cr = _jfif_planes(picture)
        return simplejpeg.encode_jpeg_yuv_planes(y, cb, cr, quality)
    pixels = np.ascontiguousarray(to_bgr(picture, size, turn))
    return simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="BGR", colorsubsampling="420")


def _jfif_planes(picture: VideoFrame) -> tuple[Pixels, Pixels, Pixels]:
    """Y, Cb, Cr as JFIF wants them: full range, BT.601 matrix."""
    y, cb, cr = (_plane(picture, number) for number in range(3))
    full = picture.color_range == _FULL_RANGE or picture.format.name == "yuvj420p"
    weights = _LUMA_WEIGHTS.get(picture.colorspace, _BT601)
    if weights != _BT601:
        return _other_matrix(y, cb, cr, weights, full)
    if full:
        return y, cb, cr
    luma, chroma = _full_range_tables()
    planes = cv2.LUT(y, luma), cv2.LUT(cb, chroma), cv2.LUT(cr, chroma)
    return tuple(np.asarray(plane, dtype=np.uint8) for plane in planes)  # pyright: ignore[reportReturnType] - three


def _plane(picture: VideoFrame, number: int) -> Pixels:
    plane = picture.planes[number]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


@cache
def _full_range_tables() -> tuple[Pixels, Pixels]:
    """Limited to full range for luma (16..235) and chroma (16..240)."""
    values = np.arange(256, dtype=np.float64)
    luma, chroma = (values - 16) * 255 / 219, (values - 128) * 255 / 224 + 128
    return _rounded(luma), _rounded(chroma)


def _rounded(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _other_matrix(
    y: Pixels, cb: Pixels, cr: Pixels, weights: tuple[float, float], full: bool
) -> tuple[Pixels, Pixels, Pixels]:
    """From another luma matrix to BT.601's. Grey stays grey, so luma changes by chroma and chroma by itself."""
    m = _rgb_to_ycc(*_BT601) @ np.linalg.inv(_rgb_to_ycc(*weights))
    luma_scale, chroma_scale = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    base = 0.0 if full else -16 * luma_scale

    def mix(row: int) -> tuple[float, float, float]:
        first, second = float(m[row, 1]) * chroma_scale, float(m[row, 2]) * chroma_scale
        return first, second, -128 * (first + second)

    a, b, offset = mix(0)
    shift = cv2.addWeighted(cb, a, cr, b, offset, dtype=cv2.CV_16S)
    shift = cv2.resize(shift, (y.shape[1], y.shape[0]), interpolation=cv2.INTER_LINEAR)
    out = [np.asarray(cv2.addWeighted(y, luma_scale, shift, 1, base, dtype=cv2.CV_8U), dtype=np.uint8)]
    for row in (1, 2):
        a, b, offset = mix(row)
        out.append(np.asarray(cv2.addWeighted(cb, a, cr, b, offset + 128), dtype=np.uint8))
    return out[0], out[1], out[2]


def _rgb_to_ycc(kr: float, kb: float) -> NDArray[np.float64]:
    """Matrix from R'G'B' to Y'CbCr with Cb and Cr in -0.5..0.5 (ITU-T H.273, equations 38 to 40)."""
    luma = np.array([kr, 1 - kr - kb, kb])
    blue, red = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    return np.stack([luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))])


def yuv_frame(pixels: Pixels, *, bt709: bool, full_range: bool) -> VideoFrame:
    """A frame for encoding from (H, W, 3) uint8 BGR with even sides: 8-bit 4:2:0, BT.709 or else BT.601."""
    return VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="bgr24").reformat(
        format="yuvj420p" if full_range else "yuv420p",
        dst_colorspace=Colorspace.ITU709 if bt709 else Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        interpolation=Interpolation.AREA,
    )
