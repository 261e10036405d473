"""XML from outside, read piece by piece: no document type, so no entities that grow or fetch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Protocol
from xml.parsers import expat

from saccade_core.kind import InputFile
from saccade_models.tables.caps import broken

_PIECE = 1 << 20
#: Elements within elements; a workbook needs no more than ten.
_DEEPEST = 100
_SEPARATOR = " "


class Handler(Protocol):
    """What is told of a document; names come without their namespaces."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


def read_xml(data: bytes, handler: Handler, file: InputFile, step: Callable[[], None]) -> None:
    """Tell ``handler`` of all of ``data``; ``step`` is called between pieces. UnreadableInput where it is broken."""
    for _ in xml_pieces(data, handler, file):
        step()


def xml_pieces(data: bytes, handler: Handler, file: InputFile) -> Generator[None]:
    """As ``read_xml``, a piece at a time."""
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise broken(file, "its XML is too deep")
        handler.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(_local(name))

    def refuse(*_: object) -> None:
        raise broken(file, "its XML has a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = refuse
    view = memoryview(data)
    try:
        for at in range(0, len(data), _PIECE):
            parser.Parse(bytes(view[at : at + _PIECE]), False)
            yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise broken(file, f"its XML is damaged ({expat.errors.messages[error.code]})") from None


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]
