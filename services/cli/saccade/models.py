"""The model registry over the HTTP API: ``Client.models``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from saccade_core.kind import ARTIFACT_NAME
from saccade_core.registry_views import AliasItem, Comparison, ModelDetail, ModelItem, VersionDetail, VersionItem
from saccade_core.trained import PRODUCTION


class Models:
    """The models that the project has trained, and the registered weights beside them."""

    def __init__(self, send: Callable[..., httpx.Response], fetch: Callable[[str, Path], Path]) -> None:
        """``send(method, path, **request)`` gives the answer; ``fetch(path, file)`` streams one to a local file."""
        self._send = send
        self._fetch = fetch

    def list(self) -> list[ModelItem]:
        """All models by name."""
        return [ModelItem.model_validate(item) for item in self._pages("/v1/models", "items")]

    def get(self, name: str) -> ModelDetail:
        """One model, with its newest versions, aliases and their latest changes."""
        return ModelDetail.model_validate(self._send("GET", _path(name)).json())

    def versions(self, name: str) -> Sequence[VersionItem]:
        """All versions of a trained model, newest first."""
        return [VersionItem.model_validate(item) for item in self._pages(_path(name), "versions")]

    def version(self, name: str, version: int | str) -> VersionDetail:
        """One version, by its number or an alias, with what it came from and its files."""
        return VersionDetail.model_validate(self._send("GET", _path(name, "versions", version)).json())

    def compare(self, name: str, versions: Sequence[int | str]) -> Comparison:
        """Versions side by side."""
        query = {"versions": ",".join(map(str, versions))}
        return Comparison.model_validate(self._send("GET", _path(name, "compare"), params=query).json())

    def promote(self, name: str, version: int, *, alias: str = PRODUCTION) -> AliasItem:
        """Let the alias stand for the version; it is loaded before this returns, where a model server is set up."""
        answer = self._send("PUT", _path(name, "aliases", alias), json={"version": version})
        return AliasItem.model_validate(answer.json())

    def rollback(self, name: str, *, alias: str = PRODUCTION) -> AliasItem:
        """Set the alias back to what it stood for before."""
        return AliasItem.model_validate(self._send("POST", _path(name, "aliases", alias, "rollback")).json())

    def delete(self, name: str, *, version: int | None = None, alias: str | None = None) -> None:
        """Delete a model, or only a version or an alias of it."""
        what = ("versions", version) if version is not None else ("aliases", alias) if alias is not None else ()
        self._send("DELETE", _path(name, *what))

    def download(self, name: str, version: int | str, folder: Path | str) -> Sequence[Path]:
        """All files of a version under ``folder``, by their paths."""
        files = self.version(name, version).files
        # A path never leaves the folder.
        return [self._fetch(file.url, Path(folder) / file.path) for file in files if ARTIFACT_NAME.fullmatch(file.path)]

    def predict(
        self, name: str, rows: Sequence[Mapping[str, Any]], *, version: int | None = None, alias: str | None = None
    ) -> dict[str, Any]:
        """Predictions for raw rows: ``{"model": {name, version}, "predictions": [...]}``."""
        chosen = {key: value for key, value in (("version", version), ("alias", alias)) if value is not None}
        return self._send("POST", f"{_path(name)}/predict", json={"rows": [*rows], **chosen}).json()

    def _pages(self, path: str, name: str) -> Sequence[Any]:
        found: Sequence[Any] = []
        cursor: Any = None
        while True:
            query = {"limit": 1000} if cursor is None else {"limit": 1000, "cursor": cursor}
            page = self._send("GET", path, params=query).json()
            found = [*found, *page[name]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def _path(name: str, *parts: object) -> str:
    return "/".join(["/v1/models", *(quote(str(part), safe="") for part in (name, *parts))])
