"""Which format a model from outside has, by its bytes and its name; pickles are refused unread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

from saccade_core.errors import InputTooLarge, UntrustedModel
from saccade_core.kind import InputFile

Format = Literal["h5", "keras", "onnx"]

_SUFFIXES: dict[str, Format] = {"h5": "h5", "hdf5": "h5", "keras": "keras", "onnx": "onnx"}
_PICKLES = frozenset({"pt", "pth", "pkl", "pickle", "joblib", "ckpt", "bin"})
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
#: Protocols 2 to 5 begin with their number; older ones are text, and no format of ours.
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5))
MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Network:
    """What a checked model is: ``input_shape`` is without the batch, its output (batch, ``units``)."""

    format: Format
    input_shape: tuple[int, ...]
    units: int
    parameters: int

    @property
    def channels_first(self) -> bool:
        """Whether it takes pictures as (channels, height, width)."""
        return len(self.input_shape) == 3 and self.input_shape[0] in {1, 3} and self.input_shape[2] not in {1, 3}


def format_of(file: InputFile) -> Format:
    """The format that name and bytes agree on; raises UntrustedModel where they do not, or it is a pickle, and
    InputTooLarge over ``MAX_BYTES``."""
    if (size := file.path.stat().st_size) > MAX_BYTES:
        raise InputTooLarge(f"A model may have at most {MAX_BYTES >> 20} MiB.", field=file.field, received=size)
    with file.path.open("rb") as opened:
        head = opened.read(16)
    suffix = file.name.rpartition(".")[2].lower()
    if suffix in _PICKLES or head.startswith(_PICKLE):
        refuse_pickle(file)
    named = _SUFFIXES.get(suffix)
    if named is None:
        refuse(file, "its name must end in .h5, .keras or .onnx")
    found = "h5" if head.startswith(_HDF5) else "keras" if head.startswith(_ZIP) else "onnx"
    if found != named:
        refuse(file, f"its bytes are not those of a .{named} file")
    return named


def refuse(file: InputFile, reason: str) -> NoReturn:
    """Raise UntrustedModel."""
    raise UntrustedModel(f"The model is refused: {reason}.", field=file.field, received=file.name)


def refuse_pickle(file: InputFile) -> NoReturn:
    """Raise UntrustedModel: loading a pickle runs whatever code is in it."""
    refuse(file, "it is a pickle, which runs code when it is loaded; pickles are loaded only from our own training")
