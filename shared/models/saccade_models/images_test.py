from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from saccade_core.errors import InputError, InputTooLarge, InvalidParams, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.images import (
    EXTENSIONS,
    Pixels,
    encode_image,
    over_white,
    page_count,
    read_image,
    to_bgr,
    to_gray,
)
from saccade_models.operations import ImageFormat

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes, str], InputFile]:
    def save(data: bytes, name: str = "picture.bin") -> InputFile:
        path = tmp_path / name
        path.write_bytes(data)
        return InputFile(path, name, "application/octet-stream", "image")

    return save


Saved = Callable[..., InputFile]


def corners() -> PIL.Image.Image:
    """12x8, red at the upper left, green at the upper right, blue below."""
    picture = PIL.Image.new("RGB", (12, 8), BLUE)
    picture.paste(RED, (0, 0, 6, 4))
    picture.paste(GREEN, (6, 0, 12, 4))
    return picture


def encoded(picture: PIL.Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def noise(width: int = 200, height: int = 150) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rgb(pixels: Pixels, x: int, y: int) -> list[int]:
    return pixels[y, x, 2::-1].tolist()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_colours_are_bgr_in_every_lossless_format(saved: Saved, format_: str) -> None:
    image = read_image(saved(encoded(corners(), format_)))
    assert (image.width, image.height, image.channels, image.format) == (12, 8, 3, format_.lower())
    assert [rgb(image.pixels, *at) for at in ((1, 1), (10, 1), (1, 6))] == [list(RED), list(GREEN), list(BLUE)]


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_colours_are_bgr_in_lossy_formats(saved: Saved, format_: str) -> None:
    image = read_image(saved(encoded(corners().resize((120, 80), 0), format_, quality=95)))
    for at, color in (((20, 20), RED), ((100, 20), GREEN), ((20, 70), BLUE)):
        assert np.abs(np.subtract(rgb(image.pixels, *at), color)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_comes_out_upright(saved: Saved, format_: str, orientation: int) -> None:
    """The file holds the corners as a camera held that way stores them (CIPA DC-008, 4.6.4 A)."""
    upright = corners().resize((120, 80), 0)
    transpose = PIL.Image.Transpose
    stored = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }
    turned = upright if orientation == 1 else upright.transpose(stored[orientation])
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"lossless": True} if format_ == "WEBP" else {}
    image = read_image(saved(encoded(turned, format_, exif=exif.tobytes(), **options)))
    assert (image.width, image.height) == (120, 80)
    difference = np.abs(image.pixels[:, :, ::-1].astype(int) - np.asarray(upright))
    assert difference.mean() < (3 if format_ == "JPEG" else 0.001)
    if format_ != "TIFF":  # Pillow turns those itself
        assert image.orientation == orientation
        assert image.has_exif


def test_sixteen_bits_keep_the_upper_eight(saved: Saved) -> None:
    ramp = np.array([[0, 0x1234, 0x80FF, 0xFFFF]], dtype=np.uint16)
    done, gray = cv2.imencode(".png", ramp)
    assert done
    image = read_image(saved(gray.tobytes()), "native")
    assert image.pixels.tolist() == [[0, 0x12, 0x80, 0xFF]]
    assert image.source_mode.startswith("I;16")
    color = np.dstack([ramp, ramp[:, ::-1], np.zeros_like(ramp)])
    for extension in (".png", ".tiff"):
        done, data = cv2.imencode(extension, color)
        assert done
        assert read_image(saved(data.tobytes())).pixels[0, 1].tolist() == [0x12, 0x80, 0]


def test_cmyk_jpeg_gives_the_printed_colours(saved: Saved) -> None:
    cmyk = PIL.Image.new("CMYK", (32, 16), (0, 255, 255, 0))
    cmyk.paste((255, 0, 0, 0), (16, 0, 32, 16))
    image = read_image(saved(encoded(cmyk, "JPEG", quality=100)))
    assert image.source_mode == "CMYK"
    assert np.abs(np.subtract(rgb(image.pixels, 4, 8), (255, 0, 0))).max() <= 3
    assert np.abs(np.subtract(rgb(image.pixels, 28, 8), (0, 255, 255))).max() <= 3


def test_cmyk_with_a_wrong_profile_is_still_read(saved: Saved) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100, icc_profile=srgb)
    image = read_image(saved(data))
    assert image.has_icc
    assert np.abs(np.subtract(rgb(image.pixels, 4, 8), (255, 0, 0))).max() <= 3


def test_transparency_is_kept_or_laid_over_white(saved: Saved) -> None:
    picture = PIL.Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        picture.putpixel((x, 0), (200, 0, 0, alpha))
    file = saved(encoded(picture, "PNG"))
    assert read_image(file, "native").pixels.tolist() == [[[0, 0, 200, 0], [0, 0, 200, 128], [0, 0, 200, 255]]]
    # 255 + (c - 255) * 128 / 255 = 127.0 for 0 and 227.4 for 200
    assert read_image(file).pixels.tolist() == [[[255, 255, 255], [127, 127, 227], [0, 0, 200]]]
    assert read_image(file, "gray").pixels.shape == (1, 3)


def test_palette_one_bit_and_grey(saved: Saved) -> None:
    palette = corners().convert("P", palette=PIL.Image.Palette.ADAPTIVE, colors=4)
    assert rgb(read_image(saved(encoded(palette, "PNG"))).pixels, 10, 1) == list(GREEN)
    palette.info["transparency"] = palette.getpixel((0, 0))
    seen = read_image(saved(encoded(palette, "PNG", transparency=palette.getpixel((0, 0)))), "native").pixels
    assert seen[[0, 0], [0, 11], 3].tolist() == [0, 255]
    one_bit = PIL.Image.new("1", (9, 2), 1)
    one_bit.putpixel((3, 0), 0)
    pixels = read_image(saved(encoded(one_bit, "TIFF")), "native").pixels
    assert pixels.shape == (2, 9)
    assert np.unique(pixels).tolist() == [0, 255]
    assert pixels[0, 3] == 0
    for format_ in ("PNG", "JPEG"):
        gray = read_image(saved(encoded(PIL.Image.new("L", (16, 16), 77), format_)), "native")
        assert gray.channels == 1
        assert gray.pixels[5, 5] == 77
    assert read_image(saved(encoded(PIL.Image.new("L", (4, 4), 77), "PNG"))).pixels[0, 0].tolist() == [77, 77, 77]


def test_pages_of_a_tiff(saved: Saved) -> None:
    pages = [PIL.Image.new("RGB", (10 + i, 10), (i, 0, 0)) for i in range(3)]
    file = saved(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert page_count(file) == 3
    assert read_image(file).width == 10
    third = read_image(file, page=2)
    assert (third.width, rgb(third.pixels, 0, 0)) == (12, [2, 0, 0])
    with pytest.raises(InvalidParams, match="3 pages"):
        read_image(file, page=3)


def test_a_gigantic_picture_is_refused_by_its_header(saved: Saved) -> None:
    with pytest.raises(InputTooLarge, match="60000x60000") as caught:
        read_image(saved(png_header(60_000, 60_000)))
    assert caught.value.field == "image"
    assert caught.value.received == "60000x60000"
    with pytest.raises(InputTooLarge):
        read_image(saved(encoded(corners(), "PNG")), max_pixels=95)
    assert read_image(saved(encoded(corners(), "PNG")), max_pixels=96).width == 12


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_picture_is_refused(saved: Saved, format_: str, kept: float) -> None:
    data = encoded(PIL.Image.fromarray(noise()), format_)
    with pytest.raises(UnreadableInput) as caught:
        read_image(saved(data[: int(len(data) * kept)], "photo.bin"))
    assert caught.value.field == "image"
    assert caught.value.received == "photo.bin"


@pytest.mark.parametrize(
    "data", [b"", b"hello, I am text\n" * 50, b"%PDF-1.7\n", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused(saved: Saved, data: bytes) -> None:
    with pytest.raises(UnreadableInput) as caught:
        read_image(saved(data, "notes.png"))
    assert "notes.png" in caught.value.message
    assert "/" not in caught.value.message


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_refused_and_a_single_frame_is_read(saved: Saved, format_: str) -> None:
    frames = [
        PIL.Image.fromarray(noise()).resize((20, 20)),
        PIL.Image.new("RGB", (20, 20), RED),
        corners().resize((20, 20)),
    ]
    moving = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(UnreadableInput, match=r"3 frames.*still picture"):
        read_image(saved(moving))
    assert read_image(saved(encoded(frames[1], format_))).width == 20


def test_samples_of_32_bits_are_refused(saved: Saved) -> None:
    with pytest.raises(UnreadableInput, match="32 bits"):
        read_image(saved(encoded(PIL.Image.new("F", (4, 4), 0.5), "TIFF")))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_damaged_bytes_never_raise_anything_else(saved: Saved, format_: str) -> None:
    good = encoded(corners().resize((60, 40)), format_)
    random = np.random.default_rng(1)
    refused: list[InputError] = []
    for _ in range(60):
        bad = bytearray(good)
        for at in random.integers(0, len(bad), 4):
            bad[at] = int(random.integers(0, 256))
        try:
            read_image(saved(bytes(bad)), max_pixels=1_000_000)
        except InputError as error:
            refused.append(error)
    assert refused
    assert {error.field for error in refused} == {"image"}


@pytest.mark.parametrize("format_", list(EXTENSIONS))
def test_what_is_written_is_read_again(saved: Saved, format_: ImageFormat) -> None:
    smooth = cv2.GaussianBlur(noise(), (31, 31), 0).astype(np.uint8)
    with_alpha = np.dstack([smooth, np.full(smooth.shape[:2], 200, np.uint8)])
    for pixels in (to_gray(smooth), smooth, with_alpha):
        data = encode_image(pixels, format_, quality=95)
        again = read_image(saved(data), "bgr")
        assert again.format == format_
        assert np.abs(again.pixels.astype(int) - to_bgr(pixels)).mean() < (2 if format_ in {"jpeg", "webp"} else 0.01)


def test_quality_changes_the_size_and_too_long_sides_are_refused() -> None:
    assert len(encode_image(noise(), "jpeg", 20)) < len(encode_image(noise(), "jpeg", 95)) / 2
    with pytest.raises(InvalidParams) as caught:
        encode_image(np.zeros((1, 20_000, 3), np.uint8), "webp")
    assert (caught.value.field, caught.value.received) == ("params.format", "webp")


def test_over_white_by_hand() -> None:
    pixels = np.array([[[0, 100, 255, 51]]], dtype=np.uint8)  # a fifth: 204, 224, 255
    assert over_white(pixels).tolist() == [[[204, 224, 255]]]
