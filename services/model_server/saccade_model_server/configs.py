"""Which models are to be served: ModelConfigList as data, checked as TensorFlow Serving does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade_model_server.errors import ServingError, invalid


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model: versions are the folders of ``base_path`` whose names are numbers.

    ``latest``: the newest so many; ``specific``: these; neither: all. ``labels`` are names of versions.
    """

    name: str
    base_path: Path
    latest: int | None = 1
    specific: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict[str, int])

    def aspired(self) -> list[int]:
        """The versions that are to be served, newest first, of those whose folders are there."""
        there = sorted(_versions(self.base_path), reverse=True)
        if self.specific:
            return [version for version in there if version in self.specific]
        return there if self.latest is None else there[: self.latest]


def read_configs(message: Any, root: Path) -> dict[str, ModelConfig]:
    """The models of a ModelServerConfig by name. Raises ServingError; ``root`` is the folder that models must be in."""
    if message.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
        )
    found: dict[str, ModelConfig] = {}
    for each in message.model_config_list.config:
        if each.name in found:
            raise invalid(f"Illegal to list model {each.name} multiple times in config list")
        found[each.name] = _read(each, root)
    return found


def _read(message: Any, root: Path) -> ModelConfig:
    name: str = message.name
    if not name or "/" in name:
        raise invalid(f"Expected a model's name without '/'; got {name!r}")
    if message.model_platform != "tensorflow":
        raise invalid(f"Expected model {name} to be of platform tensorflow; got {message.model_platform!r}")
    policy: Mapping[str, Any] = {"latest": 1}
    match message.model_version_policy.WhichOneof("policy_choice"):
        case "all":
            policy = {"latest": None}
        case "latest":
            policy = {"latest": message.model_version_policy.latest.num_versions or 1}
        case "specific":
            policy = {"specific": _specific(name, message.model_version_policy.specific.versions)}
        case _:
            pass
    labels = {str(label): int(version) for label, version in message.version_labels.items()}
    return ModelConfig(name=name, base_path=_base_path(name, message.base_path, root), labels=labels, **policy)


def _specific(name: str, versions: Sequence[int]) -> tuple[int, ...]:
    if not versions:
        raise invalid(f"Expected model {name} to have a version in its 'specific' policy")
    return tuple(versions)


def _base_path(name: str, text: str, root: Path) -> Path:
    wrong: ServingError = invalid(
        f"Expected model {name} to have an absolute path below the server's folder of models; got base_path()={text}"
    )
    path = Path(text)
    if not text or "\x00" in text or not path.is_absolute():
        raise wrong
    resolved = path.resolve()
    if resolved == root.resolve() or not resolved.is_relative_to(root.resolve()):
        raise wrong
    return resolved


def _versions(base_path: Path) -> Iterable[int]:
    try:
        entries = list(base_path.iterdir())
    except OSError:  # not there, or not yet
        return
    for entry in entries:
        if entry.name.isascii() and entry.name.isdigit() and entry.is_dir() and not entry.is_symlink():
            yield int(entry.name)
