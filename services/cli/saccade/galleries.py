"""Face galleries over the HTTP API: ``Client.galleries``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from saccade_core.galleries import Gallery, PersonItem, RemovalReceipt


class Galleries:
    """The project's face galleries."""

    def __init__(self, send: Callable[..., Any]) -> None:
        """``send(method, path, **request)`` gives the JSON of the answer."""
        self._send = send

    def list(self) -> list[Gallery]:
        """All galleries by name."""
        return [Gallery.model_validate(item) for item in self._all("/v1/galleries")]

    def create(self, name: str) -> Gallery:
        """Make an empty gallery; SaccadeApiError (409) where there is one of that name."""
        return Gallery.model_validate(self._send("POST", "/v1/galleries", json={"name": name}))

    def get(self, name: str) -> Gallery:
        """One gallery."""
        return Gallery.model_validate(self._send("GET", _path(name)))

    def people(self, name: str) -> list[PersonItem]:
        """All people of a gallery by name."""
        return [PersonItem.model_validate(item) for item in self._all(f"{_path(name)}/people")]

    def faces(self, name: str, person: str) -> list[dict[str, Any]]:
        """A person's newest faces, with their quality and the addresses of their pictures."""
        return self._send("GET", f"{_path(name)}/people/{quote(person, safe='')}")["faces"]

    def delete(self, name: str, *, person: str | None = None, face: str | None = None) -> RemovalReceipt:
        """Remove a gallery, or only a person or a face of it, with pictures, embeddings and uploads."""
        path = _path(name)
        if face is not None:
            path += f"/faces/{quote(face, safe='')}"
        elif person is not None:
            path += f"/people/{quote(person, safe='')}"
        return RemovalReceipt.model_validate(self._send("DELETE", path))

    def _all(self, path: str) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while cursor is not None:
            page = self._send("GET", path, params={"limit": 1000, "cursor": cursor})
            found += page["items"]
            cursor = page["next_cursor"]
        return found


def _path(name: str) -> str:
    return f"/v1/galleries/{quote(name, safe='')}"
