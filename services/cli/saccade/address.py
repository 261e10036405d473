"""Where the API is."""

from __future__ import annotations

import os
from pathlib import Path

from saccade.client import DEFAULT_URL, Client
from saccade.stack.state import find_data, read_state


def find_url(option: str | None = None) -> str:
    """``--url``, else ``SACCADE_URL``, else the stack of this folder or a parent, else the default address."""
    if chosen := option or os.environ.get("SACCADE_URL"):
        return chosen
    data = find_data(Path.cwd())
    state = read_state(data) if data else None
    return state.url if state else DEFAULT_URL


def connect(option: str | None = None) -> Client:
    """A client with the key of ``SACCADE_API_KEY``, if any."""
    return Client(find_url(option), api_key=os.environ.get("SACCADE_API_KEY") or None)
