from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade_core.data_uri import decode_data_uri


@given(st.binary(max_size=300))
def test_base64_and_percent_forms_give_the_bytes(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    assert decode_data_uri(f"data:image/png;base64,{encoded}") == data
    assert decode_data_uri(f"data:;base64,{encoded.replace('+', '%2B').replace('=', '%3D')}") == data
    assert decode_data_uri("data:," + "".join(f"%{byte:02x}" for byte in data)) == data


@pytest.mark.parametrize("text", ["", "data:", "data:image/png;base64", "data:;base64,@@@@", "data:;base64,abc"])
def test_broken_ones_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="data: URI"):
        decode_data_uri(text)
