from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from saccade_core.errors import Cancelled, InputError, InputTooLarge, InvalidParams, UnreadableInput
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.edit_image.contract import EditImageParams, EditImageResult
from saccade_kinds.edit_image.runner import run
from saccade_models.images import Pixels

FOLDER = Path(__file__).parent


def edit(
    source: Path, folder: Path, *operations: dict[str, Any], **params: Any
) -> tuple[EditImageResult, LocalContext]:
    context = LocalContext(folder / "run")
    return run(
        inputs_of(image=source), EditImageParams.model_validate({"operations": operations, **params}), context
    ), context


def read(path: Path) -> Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """120x80, red on the left and blue on the right."""
    picture = PIL.Image.new("RGB", (120, 80), (255, 0, 0))
    picture.paste((0, 0, 255), (60, 0, 120, 80))
    picture.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_operations_run_in_order(photo: Path, tmp_path: Path) -> None:
    result, context = edit(
        photo,
        tmp_path,
        {"op": "crop", "box": [40, 0, 120, 40]},
        {"op": "resize", "percent": 50},
        {"op": "flip"},
        {"op": "pad", "bottom": 4, "color": "#00ff00"},
    )
    assert result == EditImageResult(width=40, height=24, channels=3)
    pixels = read(context.artifacts / "image.png")
    assert pixels.shape == (24, 40, 3)
    assert [pixels[5, 5].tolist(), pixels[5, 38].tolist(), pixels[22, 5].tolist()] == [
        [255, 0, 0],
        [0, 0, 255],
        [0, 255, 0],
    ]
    assert [stage for _, _, stage in context.reported] == [
        "reading",
        "crop",
        "resize",
        "flip",
        "pad",
        "writing",
        "done",
    ]
    assert context.reported[-1][0] == context.reported[-1][1]
    assert context.models == [("opencv", cv2.__version__, "")]


def test_channels_leave_one_artefact_each(photo: Path, tmp_path: Path) -> None:
    result, context = edit(photo, tmp_path, {"op": "channels", "keep": ["red"]})
    assert result.channels == 3
    assert sorted(p.name for p in context.artifacts.iterdir()) == [
        "channel_blue.png",
        "channel_green.png",
        "channel_red.png",
        "image.png",
    ]
    red = read(context.artifacts / "channel_red.png")
    assert red.shape == (80, 120)
    assert (red[:, :60].min(), red[:, 60:].max()) == (255, 0)
    assert read(context.artifacts / "image.png")[0, 100].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("format_", "name"),
    [("png", "image.png"), ("jpeg", "image.jpg"), ("webp", "image.webp"), ("tiff", "image.tiff"), ("bmp", "image.bmp")],
)
def test_every_format_is_written_and_opens(photo: Path, tmp_path: Path, format_: str, name: str) -> None:
    result, context = edit(photo, tmp_path, format=format_)
    assert [p.name for p in context.artifacts.iterdir()] == [name]
    with PIL.Image.open(context.artifacts / name) as opened:
        assert (opened.format, opened.size) == (format_.upper(), (result.width, result.height))
        red, _, blue = np.asarray(opened.convert("RGB"))[10, 10].tolist()
        assert red > 245
        assert blue < 10


def test_transparency_stays_and_a_jpeg_says_three_channels(tmp_path: Path) -> None:
    PIL.Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    kept, _ = edit(tmp_path / "clear.png", tmp_path)
    assert kept.channels == 4
    flat, context = edit(tmp_path / "clear.png", tmp_path, format="jpeg")
    assert flat.channels == 3
    assert read(context.artifacts / "image.jpg").min() > 250


def test_grey_results_have_one_channel(photo: Path, tmp_path: Path) -> None:
    for operation in ({"op": "grayscale"}, {"op": "canny"}, {"op": "threshold", "method": "otsu"}):
        result, context = edit(photo, tmp_path, operation)
        assert result.channels == 1
        assert read(context.artifacts / "image.png").shape == (80, 120)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"],
    ids=["1-bit", "grey", "palette", "grey+alpha", "alpha", "CMYK", "16-bit"],
)
def test_unusual_pictures_work(tmp_path: Path, mode: str) -> None:
    source = tmp_path / ("in.jpg" if mode == "CMYK" else "in.png")
    if mode == "I;16":
        PIL.Image.fromarray(np.full((30, 40), 0x8000, dtype=np.uint16)).save(source)
    else:
        PIL.Image.new("RGB", (40, 30), "white").convert(mode).save(source)
    result, context = edit(source, tmp_path, {"op": "resize", "width": 20}, {"op": "blur"})
    assert (result.width, result.height) == (20, 15)
    colors = np.atleast_3d(read(context.artifacts / "image.png"))
    assert np.unique(colors).tolist() == [0x80 if mode == "I;16" else 255]


def test_a_photo_held_upright_is_drawn_on_upright(tmp_path: Path) -> None:
    """Orientation 6: the white spot is stored at the upper left and seen at the upper right."""
    stored = PIL.Image.new("RGB", (80, 60))
    stored.paste((255, 255, 255), (0, 0, 20, 20))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    result, context = edit(
        tmp_path / "phone.jpg", tmp_path, {"op": "draw_box", "box": [40, 0, 60, 20], "color": "#ff0000"}
    )
    assert (result.width, result.height) == (60, 80)
    pixels = read(context.artifacts / "image.png")
    assert pixels[10, 50].min() > 240
    assert pixels[0, 40].tolist() == [0, 0, 255]
    assert pixels[10, 30].max() < 15


def test_what_does_not_fit_the_picture_names_operation_and_field(photo: Path, tmp_path: Path) -> None:
    crop = {"op": "crop", "box": [0, 0, 50, 50]}
    for operation, field in (
        ({"op": "crop", "box": [0, 0, 60, 50]}, "box"),
        ({"op": "pool", "size": 60}, "size"),
        ({"op": "resize", "width": 50_000}, "width"),
    ):
        with pytest.raises(InvalidParams) as caught:
            edit(photo, tmp_path, {"op": "flip"}, crop, operation)
        assert caught.value.field == f"params.operations[2].{field}"
        assert caught.value.received == operation[field]


def test_params_are_checked_before_a_picture_is_there() -> None:
    with pytest.raises(ValidationError, match="'channels' once"):
        EditImageParams.model_validate({"operations": [{"op": "channels"}] * 2})
    with pytest.raises(ValidationError, match="at most 50"):
        EditImageParams.model_validate({"operations": [{"op": "flip"}] * 51})
    with pytest.raises(ValidationError) as caught:
        EditImageParams.model_validate({"operations": [{"op": "flip"}, {"op": "blur", "size": "big"}]})
    assert caught.value.errors()[0]["loc"] == ("operations", 1, "blur", "size")
    for wrong in ({"format": "gif"}, {"quality": 0}, {"sharpen": True}):
        with pytest.raises(ValidationError):
            EditImageParams.model_validate(wrong)


def bad_inputs(folder: Path) -> dict[str, tuple[bytes, type[InputError]]]:
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8))
    noise.save(folder / "full.jpg")
    noise.save(folder / "moving.gif", save_all=True, append_images=[noise.rotate(90), noise.rotate(180)])
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    giant = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    giant += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return {
        "text": (b"no picture at all", UnreadableInput),
        "empty": (b"", UnreadableInput),
        "truncated": ((folder / "full.jpg").read_bytes()[:-400], UnreadableInput),
        "giant": (giant, InputTooLarge),
        "animated": ((folder / "moving.gif").read_bytes(), UnreadableInput),
    }


@pytest.mark.parametrize("which", ["text", "empty", "truncated", "giant", "animated"])
def test_bad_input_is_refused_with_its_field(tmp_path: Path, which: str) -> None:
    data, error = bad_inputs(tmp_path)[which]
    (tmp_path / "given.jpg").write_bytes(data)
    with pytest.raises(error) as caught:
        edit(tmp_path / "given.jpg", tmp_path)
    assert caught.value.field == "image"
    assert caught.value.received
    assert str(tmp_path) not in caught.value.message


def test_cancelling_ends_between_operations(photo: Path, tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "run", cancel_after=3)
    with pytest.raises(Cancelled):
        run(inputs_of(image=photo), EditImageParams.model_validate({"operations": [{"op": "flip"}] * 9}), context)
    assert len(context.reported) == 3
    assert not list(context.artifacts.iterdir())
