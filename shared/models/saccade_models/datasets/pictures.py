"""Labelled pictures from whatever form a user has them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from saccade_core.kind import InputFile
from saccade_models.archives import Archive, ArchiveLimits, open_archive
from saccade_models.datasets.class_folders import read_class_folders
from saccade_models.datasets.idx import is_idx, read_idx
from saccade_models.datasets.npz import read_npz
from saccade_models.datasets.picture_set import MAX_ARRAY_BYTES, MAX_PICTURES, PictureSet, Step, refused

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: Entries are pictures, folders and a few other files. Sorted labels pack to a thousandth; what matters is that the
#: whole archive does not.
_LIMITS = ArchiveLimits(files=MAX_PICTURES + 10_000, file_bytes=MAX_ARRAY_BYTES, any_ratio_bytes=64 << 20)


def read_pictures(files: Sequence[InputFile], folder: Path, step: Step = lambda: None) -> PictureSet:
    """A data set from one zip (folders of classes, or IDX files), one ``.npz``, or IDX files.

    ``folder`` must be private and empty: archives are unpacked there. ``step`` is called between pieces of work (to
    cancel). What a file is, its bytes say, not its name. Raises UnreadableInput, InputTooLarge or EncryptedInput.
    """
    starts = [_start(file) for file in files]
    if len(files) == 1 and starts[0] in _ZIP:
        with open_archive(files[0], _LIMITS) as archive:
            return _from_archive(archive, files[0], folder, step)
    for file, start in zip(files, starts, strict=True):
        if not is_idx(start):
            several = "; several files are read only as IDX" if len(files) > 1 else ""
            raise refused(file, f"{file.name!r} is neither a zip archive nor an .npz nor an IDX file{several}")
    return read_idx(files, step)


def _start(file: InputFile) -> bytes:
    with file.path.open("rb") as stream:
        return stream.read(4)


def _from_archive(archive: Archive, file: InputFile, folder: Path, step: Step) -> PictureSet:
    if archive.names and all(name.endswith(".npy") for name in archive.names):
        return read_npz(archive, file)
    idx = [name for name in archive.names if _is_idx_name(name)]
    if idx:
        paths = archive.extract(folder, idx, step)
        return read_idx([InputFile(paths[n], n, "application/octet-stream", file.field) for n in idx], step)
    return read_class_folders(archive, file, folder, step)


def _is_idx_name(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return not last.startswith("._") and "idx" in last and "ubyte" in last
