"""The models that Saccade knows, and the checked local files of each.

``models.json`` is the registry: by name a ``family`` (which engine runs it), ``facts`` and the versions in order of
preference, each with its files by role: ``url`` (the official address, or null), ``sha256``, ``bytes``, and ``asset``
(its path in a mirror and in the cache) or ``package`` (its path in this package, for small files that come with it).
A version with ``stand_in`` is no official file; it serves where the official one is not to be had.

A file whose bytes differ from the registered checksum is treated as not there. Nothing but ``pull`` downloads.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from saccade_core.assets import Asset, fetch, find, is_right
from saccade_core.errors import AssetMissing, InvalidParams, ModelMissing
from saccade_core.kind import Kind, ModelFiles
from saccade_core.trained import Wanted, read_wanted
from saccade_models import derived

#: Families whose weights are exported to ONNX once, when they are pulled (saccade_models.export).
EXPORTED_FAMILIES = frozenset({"yolo"})

_NAME = re.compile(r"(?P<name>[a-z0-9_]+)(@(?P<version>[A-Za-z0-9._-]+))?")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file that lies in this package."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model, its files by role (``weights`` and what else it has)."""

    name: str
    version: str
    family: str
    licence: str
    source: str
    stand_in: bool
    note: str
    files: Mapping[str, Asset | PackagedFile]
    facts: Mapping[str, Any] = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return self.files["weights"].sha256

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def exported(self) -> bool:
        """Whether the model has a derived form, ``onnx``, beside its own files."""
        return self.family in EXPORTED_FAMILIES


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """All versions of a model, the one to be preferred first."""

    name: str
    family: str
    versions: tuple[ModelVersion, ...]


@cache
def models() -> Mapping[str, RegisteredModel]:
    """Every registered model by name, in alphabetical order."""
    text = (resources.files("saccade_models") / "models.json").read_text(encoding="utf-8")
    return MappingProxyType({name: _model(name, entry) for name, entry in sorted(json.loads(text).items())})


def versions(name: str) -> tuple[ModelVersion, ...]:
    """The versions that ``name`` or ``name@version`` stands for, the one to be preferred first.

    Raises errors.InvalidParams, with the names there are, where none is registered.
    """
    match = _NAME.fullmatch(name)
    model = models().get(match["name"]) if match else None
    if match is None or model is None:
        raise InvalidParams(f"No model is called {name[:80]!r}; there are: {', '.join(models())}.", received=name[:80])
    if match["version"] is None:
        return model.versions
    found = tuple(v for v in model.versions if v.version == match["version"])
    if not found:
        known = ", ".join(v.version for v in model.versions)
        raise InvalidParams(
            f"Model {model.name!r} has no version {match['version']!r}; there are: {known}.", received=name
        )
    return found


def trained_wanted(kind: Kind, name: str) -> Wanted | None:
    """What ``name``, a model that params of the kind say, stands for among what users trained; None where it is
    registered weights, or the kind runs no others. Registered names are taken: nothing trained is called so.

    Raises errors.InvalidParams where it can be no model's name.
    """
    if not kind.families or name.partition("@")[0] in models():
        return None
    wanted = read_wanted(name)
    if wanted is None:
        raise InvalidParams(
            f"{name[:80]!r} can be no model's name; a model is called as in 'churn', 'churn@3' or 'churn@production'.",
            received=name[:80],
        )
    return wanted


def name_is_taken(name: str) -> bool:
    """Whether no trained model may be called so: the name is that of registered weights, or of their folder."""
    return name == "weights" or name in models()


def local_model(name: str) -> ModelFiles:
    """The files of ``name`` (its best version that is wholly on this machine) or of exactly ``name@version``.

    Raises errors.ModelMissing, which names the command to get it; errors.InvalidParams as ``versions``.
    """
    for version in versions(name):
        found = local_version(version)
        if found is not None:
            return found
    raise missing(name)


def missing(name: str) -> ModelMissing:
    """The error that says how to get the model."""
    return ModelMissing(
        f"The model {name!r} is not on this machine, or not with the registered bytes. "
        f"Get it with: saccade assets pull {name}",
        received=name,
    )


def local_version(version: ModelVersion) -> ModelFiles | None:
    """The version's files where all of them, with the derived form, are here and right."""
    files = {role: local_file(file) for role, file in version.files.items()}
    paths = {role: path for role, path in files.items() if path is not None}
    if len(paths) < len(files):
        return None
    facts = {**version.facts, "family": version.family, "stand_in": version.stand_in}
    if version.exported:
        form = derived.find(version.sha256)
        if form is None:
            return None
        paths["onnx"] = form.path
        facts["onnx_sha256"] = form.sha256
    return ModelFiles(version.name, version.version, version.sha256, paths, facts)


def local_file(file: Asset | PackagedFile) -> Path | None:
    """The file where it is here and right."""
    if isinstance(file, Asset):
        return find(file)
    return file.path if is_right(file.path, file.sha256, file.bytes) else None


def pull(name: str, say: Say, torch_python: Callable[[], Path] | None = None) -> ModelFiles:
    """Bring the model's best version that is to be had, from the mirror or its official address, and export it.

    ``torch_python`` gives the Python that exports, which has torch (``derived.torch_python`` where it is None); it is
    asked only where something is to be exported. Raises errors.ModelMissing: no version is to be had;
    errors.EngineFailed: the export failed; errors.InvalidParams as ``versions``.
    """
    reasons: list[str] = []
    for version in versions(name):
        try:
            for file in version.files.values():
                _bring(file, say)
        except AssetMissing as error:
            reasons.append(error.message)
            continue
        if version.exported and derived.find(version.sha256) is None:
            derived.export(f"{version.name}@{version.version}", say, torch_python or derived.torch_python)
        found = local_version(version)
        if found is not None:
            return found
        reasons.append("its files were removed or altered while they were brought.")
    raise ModelMissing(f"The model {name!r} is not to be had. " + " ".join([*reasons, *_ways(name)]), received=name)


def _ways(name: str) -> Iterator[str]:
    """What may help where ``name`` is not to be had: other versions of it, and its official address."""
    tried = versions(name)
    others = [version for version in models()[tried[0].name].versions if version not in tried]
    here = [v for v in others if local_version(v) is not None]
    to_be_had = [v for v in others if v not in here and all(_obtainable(file) for file in v.files.values())]
    for found, words in ((here, "here are"), (to_be_had, "to be had are")):
        if found:
            yield f"Of its versions {words}: {', '.join(f'{v.name}@{v.version}' for v in found)}."
    official = any(isinstance(file, Asset) and file.url for version in tried for file in version.files.values())
    if os.environ.get("SACCADE_ASSETS_MIRROR") and official:
        yield "SACCADE_ASSETS_MIRROR is set, and replaces the official addresses: without it they are asked."


def _obtainable(file: Asset | PackagedFile) -> bool:
    """Whether the file is here, or has an official address that is in use."""
    official = isinstance(file, Asset) and bool(file.url) and not os.environ.get("SACCADE_ASSETS_MIRROR")
    return official or local_file(file) is not None


def _bring(file: Asset | PackagedFile, say: Say) -> None:
    if isinstance(file, Asset):
        fetch(file, say)
    elif local_file(file) is None:
        raise AssetMissing(f"The file {file.path.name} of this installation is missing or altered; install it again.")


def _model(name: str, entry: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(name, entry["family"], tuple(_versions(name, entry)))


def _versions(name: str, entry: Mapping[str, Any]) -> Iterator[ModelVersion]:
    for each in entry["versions"]:
        yield ModelVersion(
            name=name,
            version=each["version"],
            family=entry["family"],
            licence=each["licence"],
            source=each["source"],
            stand_in=each.get("stand_in", False),
            note=each.get("note", ""),
            files={role: _file(file, each) for role, file in each["files"].items()},
            facts={**entry["facts"], **each.get("facts", {})},
        )


def _file(file: Mapping[str, Any], version: Mapping[str, Any]) -> Asset | PackagedFile:
    if "package" in file:
        return PackagedFile(Path(__file__).parent / file["package"], file["sha256"], file["bytes"])
    return Asset(
        path=file["asset"],
        sha256=file["sha256"],
        bytes=file["bytes"],
        licence=version["licence"],
        url=file["url"],
        source=version["source"],
    )
