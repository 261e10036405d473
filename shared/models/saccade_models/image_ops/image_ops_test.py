from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import TypeAdapter

from saccade_core.errors import InvalidParams
from saccade_models import image_ops
from saccade_models.images import Pixels, channels_of
from saccade_models.operations import FrameOperation, Operation, SizeChangingOperation, SizeKeepingOperation
from saccade_models.operations_test import GOOD

ADAPTER: TypeAdapter[Operation] = TypeAdapter(Operation)


def apply(image: Pixels, op: str, **params: Any) -> Pixels:
    before = image.copy()
    done = image_ops.apply(image, ADAPTER.validate_python({"op": op, **params}), "params.operations[2]")
    assert (image == before).all(), "the input was changed"
    assert done.dtype == np.uint8
    assert done.flags.c_contiguous
    return done


def gray(*rows: list[int]) -> Pixels:
    return np.array(rows, dtype=np.uint8)


def pixel(*values: int) -> Pixels:
    return np.array([[values]], dtype=np.uint8)


def noise(height: int, width: int, *channels: int) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (height, width, *channels), dtype=np.uint8)


PICTURES = st.one_of(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))),
)


# Each pixel's value -----------------------------------------------------------------------------------


def test_brightness_adds_and_saturates_and_leaves_alpha() -> None:
    assert apply(gray([0, 100, 250]), "brightness", offset=10).tolist() == [[10, 110, 255]]
    assert apply(gray([0, 100, 250]), "brightness", offset=-100.4).tolist() == [[0, 0, 150]]
    assert apply(pixel(1, 2, 3, 77), "brightness", offset=10).tolist() == [[[11, 12, 13, 77]]]


def test_contrast_spreads_around_the_middle() -> None:
    # (100 - 127.5) * 2 + 127.5 = 72.5, rounded half to even
    assert apply(gray([0, 100, 127, 200]), "contrast", factor=2).tolist() == [[0, 72, 126, 255]]
    assert apply(gray([0, 100, 200]), "contrast", factor=0.5, middle=0).tolist() == [[0, 50, 100]]
    assert apply(pixel(0, 100, 200, 9), "contrast", factor=0).tolist() == [[[128, 128, 128, 9]]]


def test_grayscale_is_bt601_luma() -> None:
    # 0.114 * 10 + 0.587 * 100 + 0.299 * 200 = 119.64
    assert apply(pixel(10, 100, 200), "grayscale").tolist() == [[120]]
    assert apply(pixel(10, 100, 200, 0), "grayscale").tolist() == [[255]]


def test_channels_keep_and_split() -> None:
    image = pixel(1, 2, 3, 4)
    assert apply(image, "channels", keep=["red"]).tolist() == [[[0, 0, 3, 4]]]
    assert apply(image, "channels").tolist() == image.tolist()
    assert apply(gray([7]), "channels", keep=["blue", "green"]).tolist() == [[[7, 7, 0]]]
    assert {name: c.tolist() for name, c in image_ops.split_channels(image).items()} == {
        "blue": [[1]],
        "green": [[2]],
        "red": [[3]],
        "alpha": [[4]],
    }
    assert list(image_ops.split_channels(gray([7]))) == ["gray"]


def test_threshold_fixed_and_inverted() -> None:
    assert apply(gray([0, 127, 128, 255]), "threshold").tolist() == [[0, 0, 255, 255]]
    assert apply(gray([0, 127, 128, 255]), "threshold", invert=True).tolist() == [[255, 255, 0, 0]]
    assert apply(gray([9, 10, 11]), "threshold", value=10).tolist() == [[0, 0, 255]]


def test_threshold_otsu_parts_two_groups() -> None:
    image = np.concatenate([noise(20, 20) // 8 + 20, noise(20, 20) // 8 + 90])  # 20..51 and 90..121
    assert (apply(image, "threshold", method="otsu") == np.repeat([0, 255], 20)[:, None]).all()


def test_threshold_adaptive_follows_the_light() -> None:
    image = np.tile(np.linspace(40, 220, 90).astype(np.uint8), (30, 1))
    image[:, 10::20] -= 30  # dark lines, each still lighter than the picture's left edge at its right end
    binary = apply(image, "threshold", method="adaptive", block_size=9, below_mean=12)
    assert (binary[:, 10::20] == 0).all()
    assert (binary[:, 15::20] == 255).all()


# Geometry ---------------------------------------------------------------------------------------------


def test_crop_takes_the_box_and_names_what_is_wrong() -> None:
    image = noise(10, 20, 3)
    assert (apply(image, "crop", box=[3, 2, 8, 9]) == image[2:9, 3:8]).all()
    assert (apply(image, "crop", box=[0, 0, 20, 10]) == image).all()
    for box in ([0, 0, 21, 10], [-1, 0, 5, 5], [3.1, 0, 3.4, 5]):
        with pytest.raises(InvalidParams) as caught:
            apply(image, "crop", box=box)
        assert (caught.value.field, caught.value.received) == ("params.operations[2].box", box)


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"percent": 50}, (20, 10)),
        ({"percent": 250}, (100, 50)),
        ({"percent": 0.01}, (1, 1)),
        ({"width": 10}, (10, 5)),
        ({"height": 10}, (20, 10)),
        ({"width": 10, "height": 10}, (10, 5)),
        ({"width": 10, "height": 10, "keep_aspect": False}, (10, 10)),
        ({"width": 10, "keep_aspect": False}, (10, 20)),
        ({"width": 33, "height": 1000}, (33, 16)),  # 16.5, rounded half to even
    ],
)
def test_resize_gives_the_size(params: dict[str, Any], size: tuple[int, int]) -> None:
    for image in (noise(20, 40), noise(20, 40, 3), noise(20, 40, 4)):
        assert apply(image, "resize", **params).shape == (size[1], size[0], *image.shape[2:])


def test_resize_interpolates_as_named() -> None:
    image = gray([0, 10, 20, 30], [4, 14, 24, 34])
    assert apply(image, "resize", percent=50, interpolation="area").tolist() == [[7, 27]]
    assert apply(image, "resize", percent=50).tolist() == [[7, 27]]
    assert apply(gray([10, 20]), "resize", percent=200, interpolation="nearest").tolist() == [[10, 10, 20, 20]] * 2
    # linear, centres at -0.25, 0.25, 0.75, 1.25: 10, 12.5, 17.5, 20
    linear = apply(gray([10, 20]), "resize", width=4, keep_aspect=False, interpolation="linear")
    assert np.abs(linear - np.array([[10, 12.5, 17.5, 20]])).max() <= 0.5
    cubic = apply(gray([0, 0, 200, 200]), "resize", percent=200, interpolation="cubic")[0]
    assert cubic[6:].max() > 200, "a cubic kernel overshoots"


@pytest.mark.parametrize(
    ("op", "params", "field"),
    [
        ("resize", {"percent": 10_000}, "percent"),
        ("resize", {"width": 60_000}, "width"),
        ("resize", {"height": 65_500, "keep_aspect": False}, "height"),
        ("pad", {"left": 10_000, "bottom": 9_999}, "left"),
        ("pad", {"top": 10_000, "left": 9_000}, "top"),
    ],
)
def test_nothing_makes_a_giant_picture(op: str, params: dict[str, Any], field: str) -> None:
    image = np.zeros((2000, 4000), np.uint8)
    with pytest.raises(InvalidParams, match="100,000,000") as caught:
        apply(image, op, **params)
    assert caught.value.field == f"params.operations[2].{field}"


def test_rotating_a_large_picture_is_capped_too() -> None:
    with pytest.raises(InvalidParams) as caught:
        apply(np.zeros((9_000, 10_000), np.uint8), "rotate", angle=45, expand=True)
    assert caught.value.field == "params.operations[2].expand"
    with pytest.raises(InvalidParams, match="multiples of 90") as caught:
        apply(np.zeros((2, 40_000), np.uint8), "rotate", angle=1)
    assert caught.value.field == "params.operations[2].angle"
    assert apply(np.zeros((2, 40_000), np.uint8), "rotate", angle=90, expand=True).shape == (40_000, 2)


@given(PICTURES, st.sampled_from([-450, -90, 0, 90, 180, 270, 360, 990]))
def test_right_angles_move_pixels_counter_clockwise(image: Pixels, angle: int) -> None:
    assert (apply(image, "rotate", angle=angle, expand=True) == np.rot90(image, angle // 90)).all()


def test_rotate_without_expand_keeps_size_and_middle() -> None:
    image = np.zeros((21, 41, 3), np.uint8)
    image[10, 20:31] = 255  # from the middle 10 to the right
    for angle, at in ((90, (0, 20)), (-90, (20, 20)), (180, (10, 10)), (45, (3, 27))):
        turned = apply(image, "rotate", angle=angle)
        assert turned.shape == image.shape
        assert turned[10, 20].min() == 255
        assert turned[at].max() > 100, angle


def test_rotate_with_expand_holds_all_and_fills() -> None:
    image = np.full((100, 200, 3), 255, np.uint8)
    turned = apply(image, "rotate", angle=30, expand=True, fill="#0000ff")
    # 200 cos 30 + 100 sin 30 = 223.2; 200 sin 30 + 100 cos 30 = 186.6
    assert turned.shape == (187, 224, 3)
    assert turned[0, 0].tolist() == [255, 0, 0]
    assert abs((turned[:, :, 1].astype(int) / 255).sum() - 200 * 100) < 100
    assert apply(np.full((9, 9, 4), 255, np.uint8), "rotate", angle=45, expand=True)[0, 0].tolist() == [0, 0, 0, 0]


@given(PICTURES, st.sampled_from(["horizontal", "vertical", "both"]))
def test_flipping_twice_gives_the_same(image: Pixels, direction: str) -> None:
    once = apply(image, "flip", direction=direction)
    axes = {"horizontal": 1, "vertical": 0, "both": (0, 1)}[direction]
    assert (once == np.flip(image, axes)).all()
    assert (apply(once, "flip", direction=direction) == image).all()


def test_pad_modes() -> None:
    image = gray([1, 2, 3])
    assert apply(image, "pad", left=2, right=1).tolist() == [[0, 0, 1, 2, 3, 0]]
    assert apply(image, "pad", left=2, right=1, mode="replicate").tolist() == [[1, 1, 1, 2, 3, 3]]
    assert apply(image, "pad", left=2, right=1, mode="reflect").tolist() == [[3, 2, 1, 2, 3, 2]]
    assert apply(image, "pad", top=1, color="#ffffff").tolist() == [[255, 255, 255], [1, 2, 3]]
    assert apply(pixel(1, 2, 3), "pad", bottom=1, color="#ff8000").tolist() == [[[1, 2, 3]], [[0, 128, 255]]]


@given(PICTURES, st.tuples(*[st.integers(0, 5)] * 4))
def test_cropping_undoes_padding(image: Pixels, margins: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = margins
    padded = apply(image, "pad", left=left, top=top, right=right, bottom=bottom, mode="reflect")
    height, width = image.shape[:2]
    assert padded.shape[:2] == (height + top + bottom, width + left + right)
    assert (apply(padded, "crop", box=[left, top, left + width, top + height]) == image).all()


# Neighbours -------------------------------------------------------------------------------------------


def convolved(image: Pixels, kernel: list[list[float]], offset: float = 0) -> Pixels:
    """By hand: correlation, middle at (columns // 2, rows // 2), mirrored about the border pixels."""
    k = np.array(kernel)
    rows, columns = k.shape
    padded = np.pad(image.astype(float), ((rows // 2, rows), (columns // 2, columns)), mode="reflect")
    out = np.empty(image.shape)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = (padded[y : y + rows, x : x + columns] * k).sum() + offset
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


@settings(max_examples=40)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(6, 9), st.integers(6, 9))),
    st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
        lambda s: hnp.arrays(np.int8, s, elements=st.integers(-9, 9))
    ),
    st.integers(-50, 50),
)
def test_convolve_equals_the_sum_by_hand(image: Pixels, kernel: np.ndarray[Any, Any], offset: int) -> None:
    rows = [[float(v) for v in row] for row in kernel]
    assert (apply(image, "convolve", kernel=rows, offset=offset) == convolved(image, rows, offset)).all()


def test_convolve_normalized_flipped_and_with_alpha() -> None:
    image = gray([10, 20, 30, 40])
    assert apply(image, "convolve", kernel=[[0, 0, 1]]).tolist() == [[20, 30, 40, 30]]
    assert apply(image, "convolve", kernel=[[0, 0, 1]], flip_kernel=True).tolist() == [[20, 10, 20, 30]]
    assert apply(image, "convolve", kernel=[[1, 0]]).tolist() == [[20, 10, 20, 30]]  # even: the middle is the right one
    assert apply(image, "convolve", kernel=[[1, 0]], flip_kernel=True).tolist() == [[20, 30, 40, 30]]
    assert apply(image, "convolve", kernel=[[1, 2, 1]], normalize=True).tolist() == [[15, 20, 30, 35]]
    assert apply(pixel(10, 20, 30, 40), "convolve", kernel=[[2]]).tolist() == [[[20, 40, 60, 40]]]


def test_blurs_by_hand() -> None:
    image = gray([0, 0, 90, 0, 0])
    assert apply(image, "blur", method="box", size=3).tolist() == [[0, 30, 30, 30, 0]]
    assert apply(image, "blur", method="median", size=3).tolist() == [[0, 0, 0, 0, 0]]
    weights = np.exp(-0.5 * (np.arange(-2, 3) / 1.0) ** 2)
    expected = 90 * weights / weights.sum()
    got = apply(gray([0] * 5, [0] * 5, [0, 0, 90, 0, 0], [0] * 5, [0] * 5), "blur", size=5, sigma=1)[2]
    assert np.abs(got[1:4] - expected[1:4] * weights[2] / weights.sum()).max() <= 1
    assert apply(gray([7, 7], [7, 7]), "blur", size=9).tolist() == [[7, 7], [7, 7]]


def step(channels: int = 1) -> Pixels:
    image = np.zeros((20, 20), np.uint8)
    image[:, 10:] = 40
    return image if channels == 1 else np.dstack([image] * channels)


def test_edges_of_a_step() -> None:
    # Sobel 3x3 over a step of 40: (1 + 2 + 1) * 40 = 160 in the two columns at its sides
    sobel = apply(step(), "sobel", direction="x")
    assert np.unique(sobel[:, 9:11]).tolist() == [160]
    assert not sobel[:, :9].any()
    assert not apply(step(), "sobel", direction="y").any()
    assert (apply(step(), "sobel") == sobel).all()
    assert (apply(step().T.copy(), "sobel", direction="y") == sobel.T).all()
    # Laplacian of aperture 1: second difference, 40 on both sides
    laplacian = apply(step(), "laplacian", size=1)
    assert np.unique(laplacian[:, 9:11]).tolist() == [40]
    assert not laplacian[:, 11:].any()
    canny = apply(step(3), "canny", low=50, high=100)
    assert canny.shape == (20, 20)
    assert (canny == 255).any(axis=1).all()
    assert np.flatnonzero(canny.any(axis=0)).tolist() in ([9], [10])
    assert not apply(step(3), "canny", low=200, high=300).any()
    with_alpha = np.dstack([step(3), np.full((20, 20), 9, np.uint8)])
    assert (apply(with_alpha, "sobel")[:, :, 3] == 9).all()


def test_sobel_both_is_the_gradients_length() -> None:
    image = np.zeros((9, 9), np.uint8)
    image[4, 4] = 50  # at its corner pixels dx = dy = 50
    assert apply(image, "sobel")[3, 3] == round(50 * 2**0.5)


def test_pool_by_hand() -> None:
    image = gray([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15])
    assert apply(image, "pool").tolist() == [[7, 9]]
    assert apply(image, "pool", method="min").tolist() == [[1, 3]]
    assert apply(image, "pool", method="average").tolist() == [[4, 6]]
    assert apply(image, "pool", size=3, stride=1).tolist() == [[13, 14, 15]]
    assert apply(image, "pool", size=1, stride=2).tolist() == [[1, 3, 5], [11, 13, 15]]
    with pytest.raises(InvalidParams, match="5x3") as caught:
        apply(image, "pool", size=4)
    assert (caught.value.field, caught.value.received) == ("params.operations[2].size", 4)


@given(PICTURES, st.integers(1, 5), st.integers(1, 5), st.sampled_from(["max", "min", "average"]))
def test_pool_equals_the_windows_by_hand(image: Pixels, size: int, stride: int, method: str) -> None:
    if size > min(image.shape[:2]):
        return
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))[::stride, ::stride]
    function = {"max": np.max, "min": np.min, "average": np.mean}[method]
    expected = function(windows, axis=(-2, -1))
    pooled = apply(image, "pool", method=method, size=size, stride=stride)
    assert pooled.shape == expected.shape
    assert np.abs(pooled - expected).max() <= (0.501 if method == "average" else 0)


# Drawing and all together -----------------------------------------------------------------------------


def test_drawing_keeps_colours_on_every_kind_of_picture() -> None:
    for channels in ((), (3,), (4,)):
        image = np.full((60, 80, *channels), 0, np.uint8)
        boxed = apply(image, "draw_box", box=[10, 20, 50, 50], color="#ff8000", thickness=2, label="a")
        assert boxed[49, 30, :3].tolist() == [0, 128, 255]
        written = apply(image, "draw_text", text="W", position=[5, 5], color="#ff8000", background="#0000ff")
        assert (written[:, :, :3] == [255, 0, 0]).all(axis=2).any()
        assert (written[:, :, :3] == [0, 128, 255]).all(axis=2).any()


def too_small(image: Pixels) -> bool:
    """For the crop of GOOD, whose box ends at (4, 2)."""
    return image.shape[1] < 4 or image.shape[0] < 2


@settings(max_examples=200)
@given(PICTURES, st.lists(st.sampled_from(GOOD), max_size=4))
def test_any_operations_on_any_picture_work_or_name_the_field(image: Pixels, chain: list[dict[str, Any]]) -> None:
    for number, params in enumerate(chain):
        operation, field = ADAPTER.validate_python(params), f"params.operations[{number}]"
        if (params["op"] == "pool" and min(image.shape[:2]) < 3) or (params["op"] == "crop" and too_small(image)):
            with pytest.raises(InvalidParams, match=r"inside|fit") as caught:
                image_ops.apply(image, operation, field)
            assert str(caught.value.field).startswith(f"{field}.")
            return
        done = image_ops.apply(image, operation, field)
        assert channels_of(done) in {1, 3, 4}
        if params["op"] not in {"crop", "resize", "rotate", "pad", "pool"}:
            assert done.shape[:2] == image.shape[:2]
        image = done


def test_every_operation_has_its_function() -> None:
    declared = {*get_args(SizeKeepingOperation), *get_args(SizeChangingOperation)}
    assert declared == set(image_ops.FUNCTIONS)
    assert set(get_args(get_args(FrameOperation)[0])) < declared
