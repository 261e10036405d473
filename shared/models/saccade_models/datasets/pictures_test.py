from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from saccade_core.errors import InputError, InputTooLarge, InvalidParams, UnreadableInput, UntrustedModel
from saccade_core.kind import InputFile
from saccade_models.datasets.copies import digests, find_copies, without_copies
from saccade_models.datasets.load import check_memory, load, look_at
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.datasets.picture_set import PartName, PictureSet
from saccade_models.datasets.pictures import read_pictures
from saccade_models.datasets.prepare import as_floats, prepare
from saccade_models.images import Pixels

GREY = PictureInput(height=4, width=4, channels=1, labels=["a", "b"])


def png(value: int, width: int = 8, height: int = 6) -> bytes:
    pixels = np.full((height, width, 3), (value, 10, 20), np.uint8)  # BGR
    return cv2.imencode(".png", pixels)[1].tobytes()


def given(path: Path) -> InputFile:
    return InputFile(path, path.name, "application/octet-stream", "inputs.dataset[0]")


def zipped(folder: Path, entries: dict[str, bytes]) -> InputFile:
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return given(folder / "data.zip")


def idx(values: NDArray[np.uint8], shape: tuple[int, ...] | None = None) -> bytes:
    shape = shape or values.shape
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + values.tobytes()


def read(*files: InputFile) -> PictureSet:
    return read_pictures(files, files[0].path.parent / "unpacked")


def sizes(data: PictureSet) -> dict[str, list[int]]:
    return {name: np.bincount(part.labels).tolist() for name, part in data.parts.items()}


def array_of(data: PictureSet) -> Pixels:
    source = data.parts["train"].source
    assert isinstance(source, np.ndarray)
    return source


def refused(words: str, *files: InputFile, error: type[InputError] = UnreadableInput) -> None:
    with pytest.raises(error, match=words) as caught:
        read(*files)
    assert caught.value.field == "inputs.dataset[0]"
    assert str(files[0].path.parent) not in caught.value.message


def test_class_folders_in_every_layout(tmp_path: Path) -> None:
    plain = {"dogs/1.png": png(1), "cats/1.png": png(2), "cats/more/2.PNG": png(3)}
    data = read(zipped(tmp_path, plain))
    assert (data.form, list(data.classes), sizes(data)) == ("folders", ["cats", "dogs"], {"train": [2, 1]})
    parts = {f"{part}/{name}": data for part in ("train", "val", "Test") for name, data in plain.items()}
    for n, top in enumerate(("", "pets/", "pets/v2/")):
        (folder := tmp_path / str(n)).mkdir()
        data = read(zipped(folder, {f"{top}{name}": picture for name, picture in parts.items()}))
        assert sizes(data) == {"train": [2, 1], "valid": [2, 1], "test": [2, 1]}
        assert data.parts["test"].names[0] == f"{top}Test/dogs/1.png"


def test_classes_that_are_numbers_are_in_their_order_and_junk_is_passed_over(tmp_path: Path) -> None:
    junk = {"__MACOSX/9/._1.png": b"x", "set/9/._1.png": b"x", "set/.DS_Store": b"x", "set/9/notes.txt": b"x"}
    data = read(zipped(tmp_path, {f"set/{n}/1.png": png(n) for n in (10, 9, 1)} | junk | {"set/logo.png": png(0)}))
    assert list(data.classes) == ["1", "9", "10"]
    assert set(data.ignored) == {"set/9/._1.png", "set/9/notes.txt", "set/logo.png"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert list(read(zipped(tmp_path, {"train/1.png": png(1), "bus/1.png": png(2)})).classes) == ["bus", "train"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["cats/1.png"], "2 to 1000 classes"),
        (["1.png", "2.png"], "folder for each class"),
        (["train/1.png", "test/2.png"], "folder for each class"),
        (["a/readme.txt"], "no pictures in it"),
        (["train/cats/1.png", "train/dogs/1.png", "extra/cats/2.png"], "'extra' lies beside 'train'"),
        (["test/cats/1.png", "test/dogs/1.png", "valid/cats/1.png"], "no pictures to train with"),
        (["train/cats/1.png", "train/dogs/1.png", "test/birds/1.png"], "no training picture shows: 'birds'"),
        (["../cats/1.png", "dogs/1.png"], "leads out"),
        ([f"{'c' * 101}/1.png", "dogs/1.png"], "1 to 100 printable"),
    ],
)
def test_folders_that_are_no_data_set_are_refused(tmp_path: Path, entries: list[str], words: str) -> None:
    refused(words, zipped(tmp_path, {name: png(n) for n, name in enumerate(entries)}))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    file = zipped(tmp_path, {"a/1.png": png(1), "b/1.png": bytes(30 << 20)})
    refused("200 times", file, error=InputTooLarge)
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("form", ["plain", "gz", "zip"])
def test_idx_files(tmp_path: Path, form: str) -> None:
    random = np.random.default_rng(1)
    images = {p: random.integers(0, 256, (n, 5, 4), dtype=np.uint8) for p, n in (("train", 6), ("t10k", 3))}
    labels = {p: (np.arange(len(i)) % 3 + 4).astype(np.uint8) for p, i in images.items()}
    entries = {f"{p}-images-idx3-ubyte": idx(i) for p, i in images.items()}
    entries |= {f"{p}-labels-idx1-ubyte": idx(i) for p, i in labels.items()}
    if form == "zip":
        files = [zipped(tmp_path, {f"mnist/{n}.gz": gzip.compress(d) for n, d in entries.items()})]
    else:
        for name, data in entries.items():
            (tmp_path / name).write_bytes(gzip.compress(data) if form == "gz" else data)
        files = [given(tmp_path / name) for name in reversed(entries)]
    data = read(*files)
    assert (data.form, list(data.classes)) == ("idx", ["4", "5", "6"])
    assert sizes(data) == {"train": [2, 2, 2], "test": [1, 1, 1]}
    assert np.array_equal(array_of(data), images["train"])
    assert data.parts["test"].labels.tolist() == [0, 1, 2]
    assert data.parts["test"].names[2] == "test[2]"


def test_idx_files_whose_names_say_nothing(tmp_path: Path) -> None:
    arrays = [np.zeros((4, 5, 5), np.uint8), np.array([0, 1, 0, 1], np.uint8), np.zeros((2, 5, 5, 1), np.uint8)]
    files: list[InputFile] = []
    for n, array in enumerate([*arrays, np.array([1, 0], np.uint8)]):
        (tmp_path / f"file_{n}").write_bytes(idx(array))
        files.append(given(tmp_path / f"file_{n}"))
    assert sizes(read(*files)) == {"train": [2, 2], "test": [1, 1]}
    assert sizes(read(*files[:2])) == {"train": [2, 2]}
    refused("1 to 3 pairs", *files[:1])
    refused("not exactly one file of 4 labels", files[0], files[3])


@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_lie_are_refused_before_anything_is_allocated(tmp_path: Path, packed: bool) -> None:
    few = np.zeros((10, 28, 28), np.uint8)
    for shape, words, error in (
        ((100_000_000, 28, 28), "100000000 x 28 x 28", InputTooLarge),
        ((400_000, 28, 28), "not of the size", UnreadableInput),
        ((11, 28, 28), "not of the size", UnreadableInput),
        ((9, 28, 28), "not of the size", UnreadableInput),
        ((10, 1, 784_000), "at most", InputTooLarge),
        ((0, 28, 28), "no pictures", UnreadableInput),
        ((10, 28, 14, 2), "1 or 3 channels", UnreadableInput),
    ):
        data = idx(few, shape)
        (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
        refused(words, given(tmp_path / "x"), error=error)


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\x0d\x03" + bytes(12), gzip.compress(b"text"), b"\x1f\x8bxx"])
def test_what_is_no_idx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    refused("cannot be used", given(tmp_path / "x"))


def npz(folder: Path, **arrays: Any) -> InputFile:
    np.savez_compressed(folder / "data.npz", **arrays)
    return given(folder / "data.npz")


def test_npz(tmp_path: Path) -> None:
    x = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
    data = read(npz(tmp_path, x_train=x, y_train=np.array([[2], [2], [0], [0], [1], [1]]), x_test=x[:2], y_test=[0, 1]))
    assert (data.form, list(data.classes)) == ("npz", ["0", "1", "2"])
    assert sizes(data) == {"train": [2, 2, 2], "test": [1, 1]}
    assert np.array_equal(array_of(data), x)
    named = read(npz(tmp_path, x=x[..., 0] / 255.0, y=np.array([0, 1] * 3), class_names=["no", "yes"], other=[1]))
    assert (list(named.classes), list(named.ignored)) == (["no", "yes"], ["other"])
    assert np.array_equal(array_of(named), x[..., 0])
    words = read(npz(tmp_path, images=x, labels=np.array(["dog", "cat"] * 3)))
    assert (list(words.classes), words.parts["train"].labels.tolist()) == (["cat", "dog"], [1, 0] * 3)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64, np.float32])
def test_in_an_npz_of_zeros_and_ones_one_is_white(tmp_path: Path, kind: type[np.generic]) -> None:
    x = np.arange(4 * 3 * 3).reshape(4, 3, 3) % 2
    data = read(npz(tmp_path, x_train=x.astype(kind), y_train=[0, 1] * 2, x_test=x[:2] * 0.5, y_test=[0, 1]))
    assert np.array_equal(array_of(data), x * 255)
    test = data.parts["test"].source
    assert isinstance(test, np.ndarray) and np.array_equal(test, np.rint(x[:2] * 127.5))


def test_all_parts_of_an_npz_have_one_scale(tmp_path: Path) -> None:
    y, bright = [0, 1], np.full((2, 3, 3), 200.0)
    black = read(npz(tmp_path, x_train=bright, y_train=y, x_test=bright * 0, y_test=y))
    assert (array_of(black) == 200).all()
    mixed = npz(tmp_path, x_train=bright / 255, y_train=y, x_test=bright.astype(np.uint8), y_test=y)
    refused("'x_train' has values from 0 to 1 and 'x_test' from 0 to 255", mixed)


def test_labels_that_pack_well_are_no_bomb(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (200_000, 4, 4), dtype=np.uint8)
    y = np.repeat(np.arange(2), len(x) // 2)
    data = read(npz(tmp_path, x=x, y=y))
    with zipfile.ZipFile(tmp_path / "data.npz") as packed:
        labels = packed.getinfo("y.npy")
        assert labels.file_size > 200 * labels.compress_size
    assert sizes(data) == {"train": [100_000, 100_000]}
    refused("200 times", npz(tmp_path, x=x * 0, y=y), error=InputTooLarge)


def test_a_zip_may_have_as_many_pictures_as_a_data_set(tmp_path: Path) -> None:
    """A list of 100,001 entries, 40 MB of it; the archive ends with it, so that only its first picture is missed."""
    names = [f"{n % 2}/{'x' * 170}/{'y' * 170}/{n:06d}.png".encode() for n in range(100_001)]
    head = struct.pack("<4s4B4H3I", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0)
    entries = b"".join(head + struct.pack("<5H2I", len(name), 0, 0, 0, 0, 0, 0) + name for name in names)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, len(names), len(names), len(entries), 4)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 4 + len(entries), 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entries), 4, 0)
    (tmp_path / "many.zip").write_bytes(b"PK\x03\x04" + entries + end64 + locator + end)
    refused("is damaged", given(tmp_path / "many.zip"))


def test_npz_that_cannot_be_used(tmp_path: Path) -> None:
    x, y = np.zeros((4, 5, 5), np.uint8), np.array([0, 1, 0, 1])
    refused("x_train and y_train", npz(tmp_path, a=x))
    refused("4 pictures and 3 labels", npz(tmp_path, x=x, y=y[:3]))
    refused("pictures x height x width", npz(tmp_path, x=x[0], y=y))
    refused("values from -1 to 0", npz(tmp_path, x=x.astype(np.int16) - (y[:, None, None] == 0), y=y))
    refused("values from nan", npz(tmp_path, x=np.full(x.shape, np.nan), y=y))
    refused("no whole numbers", npz(tmp_path, x=x, y=y / 2))
    refused("there are 1 class names", npz(tmp_path, x=x, y=y, class_names=["one"]))
    refused("Python objects", npz(tmp_path, x=x, y=np.array(list("abab"), dtype=object)), error=UntrustedModel)


def test_an_npz_header_that_lies_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000, 28, 28), }"
    lie = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(7840)
    labels = io.BytesIO()
    np.save(labels, np.arange(10))
    refused("not of the size", zipped(tmp_path, {"x.npy": lie, "y.npy": labels.getvalue()}))
    refused("no readable header", zipped(tmp_path, {"x.npy": lie[:20], "y.npy": labels.getvalue()}))


def test_copies_are_told_apart(tmp_path: Path) -> None:
    entries = {
        "train/a/1.png": png(1),
        "train/a/2.png": png(1),  # twice
        "train/a/3.png": png(3),
        "train/b/3.png": png(3),  # in two classes
        "train/b/4.png": png(4),
        "test/a/5.png": png(5),
        "test/b/4.png": png(4),  # in training too
    }
    data = read(zipped(tmp_path, entries))
    known: dict[PartName, list[bytes]] = {name: digests(part, lambda: None) for name, part in data.parts.items()}
    copies = find_copies(data.parts, known)
    assert copies.repeated == [["train/a/1.png", "train/a/2.png"]]
    assert copies.contradicting == [["train/a/3.png", "train/b/3.png"]]
    assert copies.leaking == [["train/b/4.png", "test/b/4.png"]]
    assert without_copies(data.parts["train"], known["train"]).names == ["train/a/1.png", "train/b/4.png"]


def test_pictures_are_prepared_upright_and_in_rgb(tmp_path: Path) -> None:
    left_red = np.zeros((4, 8, 3), np.uint8)
    left_red[:, :4, 0] = 255  # RGB
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    PIL.Image.fromarray(left_red).save(tmp_path / "p.png", exif=exif)
    wanted = PictureInput(height=4, width=2, channels=3, scale=1 / 128, mean=1, labels=["a", "b"])
    ready = prepare(given(tmp_path / "p.png"), wanted)
    assert (ready.shape, ready.dtype) == ((4, 2, 3), np.float32)
    assert ready[:2, :, 0] == pytest.approx(255 / 128 - 1)
    assert (ready[2:] == -1).all()
    assert wanted.value_range == (-1, 255 / 128 - 1)
    grey = prepare(given(tmp_path / "p.png"), GREY)
    assert grey.shape == (4, 4, 1)
    assert grey[0, 0, 0] == pytest.approx(76 / 255)  # 0.299 * 255


def test_loading_names_what_cannot_be_read_and_is_what_prediction_sees(tmp_path: Path) -> None:
    entries = {"a/1.png": png(1), "a/2.png": png(2)[:60], "b/1.png": b"no picture", "b/2.png": png(4, 3, 3)}
    part = read(zipped(tmp_path, entries)).parts["train"]
    look = look_at(part)
    assert (look.size, look.channels) == (None, 3)
    wanted = PictureInput(height=5, width=5, channels=3, labels=["a", "b"])
    loaded = load(part, wanted, lambda: None)
    assert (list(loaded.names), loaded.labels.tolist()) == (["a/1.png", "b/2.png"], [0, 1])
    assert [bad.name for bad in loaded.unreadable] == ["a/2.png", "b/1.png"]
    assert "is not a picture" in loaded.unreadable[1].reason
    one = prepare(part.source[3] if not isinstance(part.source, np.ndarray) else pytest.fail("files"), wanted)
    assert np.array_equal(as_floats(loaded.pixels[1], wanted), one)


def test_arrays_are_taken_as_they_are_or_fitted(tmp_path: Path) -> None:
    data = read(npz(tmp_path, x=np.full((4, 8, 8), 9, np.uint8), y=np.array([0, 1, 0, 1])))
    part = data.parts["train"]
    assert look_at(part).size == (8, 8)
    assert look_at(part).channels == 1
    same = load(part, GREY.model_copy(update={"height": 8, "width": 8}), lambda: None)
    assert np.shares_memory(same.pixels, array_of(data))
    fitted = load(part, GREY.model_copy(update={"channels": 3}), lambda: None)
    assert fitted.pixels.shape == (4, 4, 4, 3)
    assert (fitted.pixels == 9).all()


def test_what_does_not_fit_in_memory_is_refused_with_a_size_that_does() -> None:
    check_memory(70_000, (28, 28, 1))
    with pytest.raises(InvalidParams, match="image_size of 103 fits") as caught:
        check_memory(25_000, (256, 256, 3))
    assert caught.value.field == "params.image_size"
