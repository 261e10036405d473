"""Zip archives from outside: opened with every cap checked before a byte is unpacked.

What is refused: names that leave the folder (absolute, ``..``, backslashes, drives), links, two entries of one
name, encrypted entries, compression other than deflate, and bombs: too many entries, too many bytes, too high a
ratio. Sizes that an entry declares are held to while it is read. Folders and what macOS adds are passed over.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from saccade_core.errors import EncryptedInput, InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile

_CHUNK = 1 << 20
#: The list of entries is read at once: no more than so many bytes of it for each 100,000 entries that are allowed.
_MAX_DIRECTORY = 32 << 20
_DIRECTORY_ENTRIES = 100_000
_MAX_NAME, _MAX_NAME_PART = 1024, 255
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Caps on an archive: ``files`` entries, ``bytes`` unpacked in all and ``file_bytes`` of one; ``ratio`` is
    unpacked to packed bytes, of one entry and of the whole (no picture or label file comes near 200); an entry of
    ``any_ratio_bytes`` or less may have any."""

    files: int = 100_000
    bytes: int = 8 << 30
    file_bytes: int = 1 << 30
    ratio: float = 200.0
    any_ratio_bytes: int = _MIB


class Archive:
    """An opened, checked archive; ``names`` in its own order, with ``/`` between their parts."""

    def __init__(self, zipped: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], file: InputFile) -> None:
        self._zipped, self._entries, self._file = zipped, entries, file
        self.names = tuple(entries)

    def size(self, name: str) -> int:
        """Unpacked bytes of an entry."""
        return self._entries[name].file_size

    def read(self, name: str, max_bytes: int = 16 << 20) -> bytes:
        """The bytes of one entry; raises InputTooLarge over ``max_bytes`` and UnreadableInput where damaged."""
        if self.size(name) > max_bytes:
            raise InputTooLarge(
                f"{_shown(name)} in the archive may hold at most {max_bytes >> 10} KiB.",
                field=self._file.field,
                received=self.size(name),
            )
        return b"".join(self._chunks(name))

    def extract(self, folder: Path, names: Iterable[str], step: Callable[[], None] = lambda: None) -> dict[str, Path]:
        """Unpack ``names`` below ``folder``, which must be private; ``step`` is called between chunks (to cancel).

        Gives the path of each name. Raises UnreadableInput where an entry is damaged or is file and folder in one.
        """
        made: dict[str, Path] = {}
        for name in names:
            made[name] = folder / name
            try:
                made[name].parent.mkdir(parents=True, exist_ok=True)
                with made[name].open("xb") as out:
                    for chunk in self._chunks(name):
                        step()
                        out.write(chunk)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise _broken(self._file, f"{_shown(name)} is in it as a file and as a folder") from None
        return made

    def _chunks(self, name: str) -> Generator[bytes]:
        try:
            with self._zipped.open(self._entries[name]) as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError):
            raise _broken(self._file, f"{_shown(name)} is damaged") from None


@contextmanager
def open_archive(file: InputFile, limits: ArchiveLimits | None = None) -> Generator[Archive]:
    """Open and check a zip; raises UnreadableInput, EncryptedInput or InputTooLarge, each naming ``file.field``."""
    limits = limits or ArchiveLimits()
    with _Frugal(file, _MAX_DIRECTORY * max(1, limits.files // _DIRECTORY_ENTRIES)) as stream:
        try:
            zipped = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, UnicodeError):
            raise _broken(file, "it is no zip archive, or a damaged one") from None
        with zipped:
            yield Archive(zipped, _checked(zipped, file, limits), file)


class _Frugal(io.BufferedReader):
    """A file that refuses to give more at once than the longest list of entries allowed."""

    def __init__(self, file: InputFile, most: int) -> None:
        super().__init__(io.FileIO(file.path))
        self._field, self._most = file.field, most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise InputTooLarge("The archive's list of entries is too long.", field=self._field, received=size)
        return super().read(size)


def _checked(zipped: zipfile.ZipFile, file: InputFile, limits: ArchiveLimits) -> dict[str, zipfile.ZipInfo]:
    """The entries that are files, by name, once each of them and their sum is within the limits."""
    listed = zipped.infolist()
    if len(listed) > limits.files:
        raise InputTooLarge(
            f"An archive may hold at most {limits.files} entries.", field=file.field, received=len(listed)
        )
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in listed:
        _check_name(info, file)
        if info.is_dir() or _is_clutter(info.filename):
            continue
        _check_entry(info, file, limits)
        if info.filename in entries:
            raise _broken(file, f"{_shown(info.filename)} is in it twice")
        entries[info.filename] = info
    total = sum(info.file_size for info in entries.values())
    if total > limits.bytes:
        raise InputTooLarge(
            f"An archive may hold at most {limits.bytes // _MIB} MiB, unpacked.", field=file.field, received=total
        )
    if total > _MIB and total > limits.ratio * file.path.stat().st_size:
        raise _bomb(file, limits, total / file.path.stat().st_size)
    return entries


def _check_name(info: zipfile.ZipInfo, file: InputFile) -> None:
    # orig_filename: zipfile has already cut filename at a NUL and turned the system's separators.
    for name in (info.orig_filename, info.filename):
        parts = name.rstrip("/").split("/")
        if name.startswith("/") or "\\" in name or ":" in parts[0] or not all(p not in {"", ".", ".."} for p in parts):
            raise _broken(file, f"the name {_shown(name)} leads out of its folder, or is none")
        if not name.isprintable() or len(name) > _MAX_NAME or any(len(p.encode()) > _MAX_NAME_PART for p in parts):
            raise _broken(file, f"the name {_shown(name)} is too long or not printable")


def _check_entry(info: zipfile.ZipInfo, file: InputFile, limits: ArchiveLimits) -> None:
    shown = _shown(info.filename)
    if info.flag_bits & 0x1:
        raise EncryptedInput(f"The archive's {shown} is locked by a password.", field=file.field, received=file.name)
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise _broken(file, f"{shown} is a link or a device")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _broken(file, f"{shown} is compressed in another way than deflate")
    if info.file_size > limits.file_bytes:
        raise InputTooLarge(
            f"{shown} in the archive may hold at most {limits.file_bytes // _MIB} MiB.",
            field=file.field,
            received=info.file_size,
        )
    if info.file_size > limits.any_ratio_bytes and info.file_size > limits.ratio * max(1, info.compress_size):
        raise _bomb(file, limits, info.file_size / max(1, info.compress_size))


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in {".DS_Store", "Thumbs.db", "desktop.ini"}


def _shown(name: str) -> str:
    """A name from outside, safe and short enough for a message."""
    short = name if len(name) <= 80 else name[:77] + "..."
    return repr(short)


def _broken(file: InputFile, reason: str) -> UnreadableInput:
    return UnreadableInput(f"The archive cannot be used: {reason}.", field=file.field, received=file.name)


def _bomb(file: InputFile, limits: ArchiveLimits, ratio: float) -> InputTooLarge:
    return InputTooLarge(
        f"An archive may unpack to at most {limits.ratio:g} times its size.", field=file.field, received=round(ratio)
    )
