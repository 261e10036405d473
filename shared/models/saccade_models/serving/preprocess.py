"""``preprocess.json`` of a trained model: how raw rows, or pictures, become what the network takes. Light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from saccade_core.errors import EngineFailed
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.tables.encode import TableInput

#: What the network takes, discriminated by ``kind``: ``table`` or ``pictures``.
Preprocess = Annotated[TableInput | PictureInput, Field(discriminator="kind")]

_READER: TypeAdapter[TableInput | PictureInput] = TypeAdapter(Preprocess)


def read_preprocess(data: bytes) -> TableInput | PictureInput:
    """The model's ``preprocess.json``; EngineFailed where it is not one that this version of Saccade knows."""
    try:
        return _READER.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise EngineFailed(f"The model's preprocess.json cannot be used: {first['msg']}.") from error


def load_preprocess(path: Path) -> TableInput | PictureInput:
    """As ``read_preprocess``, of a file."""
    return read_preprocess(path.read_bytes())
