from __future__ import annotations

import hashlib
import stat
import zipfile
from pathlib import Path

import pytest

from saccade_core.errors import Cancelled, EncryptedInput, InputError, InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.archives import ArchiveLimits, open_archive


def packed(folder: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> InputFile:
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", method) as zipped:
        for name, data in entries.items():
            zipped.writestr(name, data)
    return InputFile(path, path.name, "application/zip", "inputs.truth")


def refused(file: InputFile, error: type[InputError], words: str, limits: ArchiveLimits | None = None) -> InputError:
    with pytest.raises(error, match=words) as caught, open_archive(file, limits):
        pytest.fail("it was opened")
    assert caught.value.field == "inputs.truth"
    assert str(file.path.parent) not in caught.value.message
    return caught.value


def test_what_was_packed_comes_out(tmp_path: Path) -> None:
    entries = {
        "labels/a.txt": b"0 1 2",
        "b.bin": b"".join(hashlib.sha512(bytes([n % 256, n // 256])).digest() for n in range(36_000)),
        "__MACOSX/labels/._a.txt": b"x",
    }
    file = packed(tmp_path, {**entries, "images/.DS_Store": b"x", "images/": b""})
    with open_archive(file) as archive:
        assert archive.names == ("labels/a.txt", "b.bin")
        assert archive.read("labels/a.txt") == b"0 1 2"
        steps: list[int] = []
        made = archive.extract(tmp_path / "out", archive.names, lambda: steps.append(1))
        assert {name: path.read_bytes() for name, path in made.items()} == {n: entries[n] for n in archive.names}
        assert len(steps) == 4  # 1 + ceil(2.2)
        assert {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()} == {"a.txt", "b.bin"}


def test_cancelling_ends_between_chunks(tmp_path: Path) -> None:
    def cancel() -> None:
        raise Cancelled("The job was cancelled.")

    with open_archive(packed(tmp_path, {"a": b"1"})) as archive, pytest.raises(Cancelled):
        archive.extract(tmp_path / "out", archive.names, cancel)


@pytest.mark.parametrize(
    "name",
    [
        "../x.txt",
        "a/../../x.txt",
        "/etc/x",
        "a//b",
        "./x",
        "..",
        "C:/x",
        "a\\..\\x",
        "a/./b",
        "../dir/",
        "x\ny",
        "e" * 300,
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    refused(packed(tmp_path, {"fine.txt": b"1", name: b"2"}), UnreadableInput, "the name")


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    file = packed(tmp_path, {"labels/a_txt": b"1"})
    file.path.write_bytes(file.path.read_bytes().replace(b"a_txt", b"a\0txt"))
    refused(file, UnreadableInput, "the name")


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFIFO):
        info = zipfile.ZipInfo("labels")
        info.external_attr = (kind | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "l.zip", "w") as zipped:
            zipped.writestr(info, "/etc")
        refused(InputFile(tmp_path / "l.zip", "l.zip", "", "inputs.truth"), UnreadableInput, "a link")


def test_a_name_given_twice_and_a_file_that_is_a_folder_are_refused(tmp_path: Path) -> None:
    twice = packed(tmp_path, {"a1.txt": b"1", "a2.txt": b"2"})
    twice.path.write_bytes(twice.path.read_bytes().replace(b"a2.txt", b"a1.txt"))
    refused(twice, UnreadableInput, "twice")
    for number, names in enumerate((("a", "a/b"), ("a/b", "a"))):
        file = packed(tmp_path, dict.fromkeys(names, b"1"))
        with open_archive(file) as archive, pytest.raises(UnreadableInput, match="file and as a folder"):
            archive.extract(tmp_path / f"out{number}", archive.names)


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    bomb = packed(tmp_path, {"zeros": bytes(50 << 20)})
    assert bomb.path.stat().st_size < 100_000
    assert refused(bomb, InputTooLarge, "200 times").received > 900
    many = packed(tmp_path, {str(n): b"" for n in range(20)})
    assert refused(many, InputTooLarge, "20|at most 19", ArchiveLimits(files=19)).received == 20
    three = packed(tmp_path, {str(n): bytes(range(250)) * 4 for n in range(3)}, zipfile.ZIP_STORED)
    refused(three, InputTooLarge, "unpacked", ArchiveLimits(bytes=2999))
    refused(three, InputTooLarge, "'0' in the archive", ArchiveLimits(file_bytes=999))
    with open_archive(three, ArchiveLimits(bytes=3000, file_bytes=1000)) as archive:
        assert archive.size("2") == 1000
        with pytest.raises(InputTooLarge):
            archive.read("2", max_bytes=999)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A bomb of overlapping entries (D. Fifield, 2019): many names point at one compressed kernel."""
    kernel = packed(tmp_path, {"a": bytes(1 << 20)})
    with zipfile.ZipFile(kernel.path, "a", zipfile.ZIP_DEFLATED) as zipped:
        first = zipped.infolist()[0]
        for number in range(50):
            copy = zipfile.ZipInfo(f"b{number}")
            for slot in ("header_offset", "compress_size", "file_size", "CRC", "compress_type", "flag_bits"):
                setattr(copy, slot, getattr(first, slot))
            zipped.filelist.append(copy)
            zipped.NameToInfo[copy.filename] = copy
        # There is no public way to write a directory whose entries share one file's bytes.
        zipped._didModify = True  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage] - see above
    refused(kernel, InputTooLarge, "200 times")


def test_a_size_that_lies_is_found_while_reading(tmp_path: Path) -> None:
    file = packed(tmp_path, {"a": b"x" * 5000})
    data = bytearray(file.path.read_bytes())
    size = (5000).to_bytes(4, "little")
    assert data.count(size) == 2
    file.path.write_bytes(bytes(data).replace(size, (10).to_bytes(4, "little")))
    with open_archive(file) as archive, pytest.raises(UnreadableInput, match="'a' is damaged"):
        archive.read("a")


def test_a_long_list_of_entries_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saccade_models.archives._MAX_DIRECTORY", 900)
    refused(packed(tmp_path, {f"file-{n}": b"" for n in range(30)}), InputTooLarge, "list of entries")


def test_encrypted_and_strange_compression_are_refused(tmp_path: Path) -> None:
    file = packed(tmp_path, {"a": b"secret"}, zipfile.ZIP_STORED)
    data = bytearray(file.path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.path.write_bytes(bytes(data))
    refused(file, EncryptedInput, "password")
    refused(packed(tmp_path, {"a": b"1"}, zipfile.ZIP_LZMA), UnreadableInput, "deflate")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path, {"a": b"1" * 100}).path.read_bytes()
    for data in (
        b"",
        b"PK\x03\x04",
        whole[:-30],
        whole[:64] + bytes(64),
        b"PK\x05\x06" + b"\xff" * 18,
    ):
        (tmp_path / "broken.zip").write_bytes(data)
        refused(InputFile(tmp_path / "broken.zip", "broken.zip", "", "inputs.truth"), UnreadableInput, "zip archive")
