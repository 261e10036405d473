"""HDF5 files from outside: their structure is walked before Keras reads a number of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from saccade_core.errors import InputTooLarge, UnreadableInput
from saccade_core.kind import InputFile
from saccade_kinds.register_model.opening import MAX_BYTES, refuse
from saccade_kinds.register_model.stock import MAX_CONFIG

_MAX_OBJECTS, _MAX_DEPTH, _MAX_RATIO = 20_000, 32, 200
#: deflate, shuffle, fletcher32, lzf: what h5py itself brings; others would be looked for as plug-ins.
_FILTERS = frozenset({1, 2, 3, 32000})


def check_hdf5(path: Path, file: InputFile) -> None:
    """Raise UntrustedModel where the HDF5 file at ``path`` (``file`` or a part of it) points outside itself,
    InputTooLarge where it declares more than it can hold, UnreadableInput where it is damaged."""
    try:
        with h5py.File(path, "r") as opened:
            _walk(opened, file, path.stat().st_size)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file) from error


def config_of(path: Path, file: InputFile) -> str:
    """The configuration of a whole model in HDF5, as JSON text."""
    try:
        with h5py.File(path, "r") as opened:
            config: Any = opened.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file) from error
    if isinstance(config, bytes) and len(config) <= MAX_CONFIG:
        config = config.decode("utf-8", "replace")
    if not isinstance(config, str):
        raise UnreadableInput(
            "The file has weights without a network; save the whole model: model.save('model.h5').",
            field=file.field,
            received=file.name,
        )
    return config


def _walk(root: Any, file: InputFile, size: int) -> None:
    declared, seen = 0, 0
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            seen += 1
            if seen > _MAX_OBJECTS or depth > _MAX_DEPTH:
                refuse(file, "it has too many objects, or folders in folders")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                refuse(file, f"its {name[:80]!r} is a link to another place")
            member = group[name]
            if isinstance(member, h5py.Group):
                waiting.append((member, depth + 1))
            else:
                declared += _declared(member, name, file)
            if declared > MAX_BYTES or declared > max(1 << 20, _MAX_RATIO * size):
                raise InputTooLarge(
                    f"A model may hold at most {MAX_BYTES >> 20} MiB, and {_MAX_RATIO} times its file.",
                    field=file.field,
                    received=declared,
                )


def _declared(member: Any, name: str, file: InputFile) -> int:
    """Bytes that a data set says it has."""
    if not isinstance(member, h5py.Dataset) or member.dtype.kind not in "fiub":
        refuse(file, f"its {name[:80]!r} holds no numbers")
    if member.external or member.is_virtual:
        refuse(file, f"the numbers of its {name[:80]!r} are in another file")
    created = member.id.get_create_plist()
    if any(created.get_filter(n)[0] not in _FILTERS for n in range(created.get_nfilters())):
        refuse(file, f"its {name[:80]!r} is compressed in another way than HDF5's own")
    return int(member.size or 0) * member.dtype.itemsize


def _damaged(file: InputFile) -> UnreadableInput:
    return UnreadableInput("The model is no HDF5 file, or a damaged one.", field=file.field, received=file.name)
