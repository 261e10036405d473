"""Reading and writing of pictures, for all kinds.

Pixels are uint8 arrays: grey ``(H, W)``, colour ``(H, W, 3)`` in BGR order, with transparency ``(H, W, 4)`` BGRA
(straight alpha, 255 is opaque). Pillow reads headers and every format; JPEGs, the usual case, are decoded by
libjpeg-turbo in its strict mode, because OpenCV silently gives half of a truncated one.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
import PIL.Image
import simplejpeg
from numpy.typing import NDArray
from PIL import ImageCms

from saccade_core.errors import EngineFailed, InputTooLarge, InvalidParams, SaccadeError, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.operations import MAX_SIDE, ImageFormat

Pixels: TypeAlias = NDArray[np.uint8]
#: ``bgr``: always colour, transparency laid over white. ``gray``: always one channel. ``native``: grey stays grey
#: and alpha is kept.
Channels: TypeAlias = Literal["bgr", "gray", "native"]

MAX_PIXELS = 100_000_000
READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
ANIMATED = ("GIF", "WEBP", "PNG")
EXTENSIONS: Mapping[ImageFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tiff", "bmp": "bmp"}
#: libwebp's limit; the other formats take MAX_SIDE.
MAX_WEBP_SIDE = 16_383
_EXIF_ORIENTATION = 0x0112

# Our own cap, checked on the header before anything is decoded, takes the place of Pillow's warning.
PIL.Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, upright, and what its file said about it.

    ``format`` is Pillow's name in small letters (``jpeg``, ``png``, ``tiff`` ...), ``source_mode`` Pillow's pixel
    mode of the file (``RGB``, ``CMYK``, ``I;16`` ...), ``orientation`` the EXIF value 1..8 that was applied.
    """

    pixels: Pixels
    format: str
    source_mode: str
    orientation: int
    has_exif: bool
    has_icc: bool

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def channels(self) -> int:
        return channels_of(self.pixels)


def channels_of(pixels: Pixels) -> int:
    """1 (grey), 3 (BGR) or 4 (BGRA)."""
    return 1 if pixels.ndim == 2 else pixels.shape[2]


def read_image(file: InputFile, channels: Channels = "bgr", *, max_pixels: int = MAX_PIXELS, page: int = 0) -> Image:
    """Read one picture, turned upright by its EXIF orientation.

    Samples of 16 bits keep their upper 8; CMYK is converted by its ICC profile where it has one; palette and 1-bit
    pictures become colour or grey. ``page`` counts a TIFF's pages from 0; other files have one. Raises
    UnreadableInput (not a picture, truncated, animated, samples of 32 bits), InputTooLarge (over ``max_pixels``,
    seen in the header) and InvalidParams (no such page), each naming ``file.field``.
    """
    with _opened(file, max_pixels, page) as opened:
        name = opened.format or ""
        mode, exif, icc = opened.mode, "exif" in opened.info, "icc_profile" in opened.info
        pixels = _decoded_jpeg(file, opened) if name in {"JPEG", "MPO"} else None
        if pixels is None:
            pixels = _decoded(opened, file)
        # Pillow turns TIFFs upright itself and then has no orientation left.
        orientation = opened.getexif().get(_EXIF_ORIENTATION, 1)
    pixels = _convert(_upright(pixels, orientation), channels)
    return Image(
        pixels=pixels,
        format="jpeg" if name == "MPO" else name.lower(),
        source_mode=mode,
        orientation=orientation,
        has_exif=exif,
        has_icc=icc,
    )


def page_count(file: InputFile) -> int:
    """Number of pages of a TIFF, 1 for other pictures; raises as ``read_image`` does, without decoding."""
    with _opened(file, MAX_PIXELS, 0) as opened:
        return getattr(opened, "n_frames", 1) if opened.format == "TIFF" else 1


def encode_image(pixels: Pixels, format: ImageFormat, quality: int = 90) -> bytes:  # noqa: A002 - the field's word
    """Pixels (grey, BGR or BGRA) as a file's bytes; ``quality`` 1..100 is for jpeg and webp.

    Transparency is laid over white in a JPEG. Raises InvalidParams where the format cannot hold the size.
    """
    height, width = pixels.shape[:2]
    limit = MAX_WEBP_SIDE if format == "webp" else MAX_SIDE
    if max(width, height) > limit:
        raise InvalidParams(
            f"A {format} file holds at most {limit} pixels a side; the picture is {width}x{height}.",
            field="params.format",
            received=format,
        )
    options: list[int] = []
    if format == "jpeg":
        pixels, options = over_white(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality]
    elif format == "webp":
        options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    done, data = cv2.imencode(f".{EXTENSIONS[format]}", pixels, options)
    if not done:
        raise EngineFailed(f"The picture could not be written as {format}.", received=f"{width}x{height}")
    return data.tobytes()


def write_image(path: Path, pixels: Pixels, format: ImageFormat = "png", quality: int = 90) -> None:  # noqa: A002 - the field's word
    """Write ``encode_image``'s bytes to ``path``."""
    path.write_bytes(encode_image(pixels, format, quality))


def over_white(pixels: Pixels) -> Pixels:
    """BGRA laid over white as BGR; other pixels as they are."""
    if channels_of(pixels) != 4:
        return pixels
    alpha = pixels[:, :, 3:].astype(np.uint16)
    mixed = pixels[:, :, :3] * alpha + 255 * (255 - alpha)  # at most 255 * 255, which 16 bits hold
    return ((mixed + 127) // 255).astype(np.uint8)


def to_gray(pixels: Pixels) -> Pixels:
    """Luma (ITU-R BT.601), shape ``(H, W)``; transparency is laid over white first."""
    pixels = over_white(pixels)
    return pixels if pixels.ndim == 2 else _pixels(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))


def to_bgr(pixels: Pixels) -> Pixels:
    """Three channels; transparency is laid over white."""
    return _pixels(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)) if pixels.ndim == 2 else over_white(pixels)


@contextmanager
def _opened(file: InputFile, max_pixels: int, page: int) -> Generator[PIL.Image.Image]:
    """The file with its header checked; what Pillow raises comes out as UnreadableInput."""
    try:
        with PIL.Image.open(file.path, formats=READABLE) as opened:
            if page:
                _seek(opened, file, page)
            _check_size(opened, file, max_pixels)
            _check_frames(opened, file)
            yield opened
    except (SaccadeError, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise UnreadableInput(
            f"{file.name!r} is not a picture of a known format ({', '.join(READABLE)}).",
            field=file.field,
            received=file.name,
        ) from None
    except Exception as error:  # on hostile bytes Pillow's decoders raise anything
        raise UnreadableInput(
            f"{file.name!r} is truncated or damaged: {_reason(error)}.", field=file.field, received=file.name
        ) from error


def _reason(error: Exception) -> str:
    """A decoder's own words, unless they may hold a local path (errors of the operating system do)."""
    system_error = isinstance(error, OSError) and error.filename is not None
    return type(error).__name__ if system_error else str(error)[:200] or type(error).__name__


def _check_frames(opened: PIL.Image.Image, file: InputFile) -> None:
    if opened.format in ANIMATED and getattr(opened, "is_animated", False):
        frames: int = getattr(opened, "n_frames", 2)
        raise UnreadableInput(
            f"{file.name!r} is an animation of {frames} frames; give one still picture.",
            field=file.field,
            received=f"{frames} frames",
        )


def _check_size(opened: PIL.Image.Image, file: InputFile, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:
        raise InputTooLarge(
            f"The picture has {opened.width}x{opened.height} pixels; at most {max_pixels:,} are read.",
            field=file.field,
            received=f"{opened.width}x{opened.height}",
        )


def _seek(opened: PIL.Image.Image, file: InputFile, page: int) -> None:
    pages: int = getattr(opened, "n_frames", 1) if opened.format == "TIFF" else 1
    if page >= pages:
        raise InvalidParams(
            f"{file.name!r} has {pages} pages; there is no page {page + 1}.", field=file.field, received=page
        )
    opened.seek(page)


def _decoded_jpeg(file: InputFile, opened: PIL.Image.Image) -> Pixels | None:
    """A grey or colour JPEG by libjpeg-turbo; None leaves it, and the verdict on damage, to Pillow."""
    if opened.mode not in {"L", "RGB"}:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(file.path.read_bytes(), "GRAY" if opened.mode == "L" else "BGR", strict=True)
    except ValueError:
        return None
    return pixels[:, :, 0] if opened.mode == "L" else pixels


def _decoded(opened: PIL.Image.Image, file: InputFile) -> Pixels:
    """Any picture by Pillow, as grey, BGR or BGRA."""
    opened.load()
    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PPM"):
        return (np.asarray(opened) >> 8).astype(np.uint8)
    if opened.mode in {"I", "F"}:
        raise UnreadableInput(
            f"{file.name!r} has samples of 32 bits; 1, 8 and 16 bits are read.", field=file.field, received=opened.mode
        )
    if opened.mode == "CMYK":
        return _swapped(_cmyk_to_rgb(opened))
    if opened.has_transparency_data:
        return _swapped(opened.convert("RGBA"))
    if opened.mode in {"L", "1"}:
        return np.array(opened.convert("L"))
    return _swapped(opened.convert("RGB"))


def _cmyk_to_rgb(opened: PIL.Image.Image) -> PIL.Image.Image:
    profile = opened.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                opened,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile must not cost the picture
        if converted is not None:
            return converted
    return opened.convert("RGB")


def _swapped(opened: PIL.Image.Image) -> Pixels:
    code = cv2.COLOR_RGBA2BGRA if opened.mode == "RGBA" else cv2.COLOR_RGB2BGR
    return _pixels(cv2.cvtColor(np.asarray(opened), code))


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (CIPA DC-008, tag 274); unknown values change nothing."""
    if orientation in {5, 6, 7, 8}:
        pixels = _pixels(cv2.transpose(pixels))
    flips = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # OpenCV: 1 left-right, 0 top-bottom, -1 both
    return _pixels(cv2.flip(pixels, flips[orientation])) if orientation in flips else pixels


def _convert(pixels: Pixels, channels: Channels) -> Pixels:
    if channels == "native":
        return pixels
    return to_gray(pixels) if channels == "gray" else to_bgr(pixels)


def _pixels(array: object) -> Pixels:
    """OpenCV's stubs say any number type; what goes in as uint8 comes out as uint8."""
    return np.asarray(array, dtype=np.uint8)
