"""Which pictures of a YOLO archive are to be learnt, and which to be measured on: ``data.yaml``, or ``classes.txt``.

Paths in ``data.yaml`` are what users' tools left there: relative to the file or to its line ``path:``, absolute on the
machine where the pictures were labelled (``C:\\Users\\...``, ``/home/me/...``), with ``../`` too many. Each is
resolved to the folder of the archive that has its longest tail in common with it, or refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias, cast

import yaml

from saccade_core.errors import InputError, UnreadableInput
from saccade_core.kind import InputFile
from saccade_models.archives import Archive
from saccade_models.datasets.plain_yaml import NotPlain, read_mapping

#: Names of parts, and how ``data.yaml`` may call them.
PARTS = {"train": ("train", "training"), "valid": ("val", "valid", "validation"), "test": ("test", "testing")}
MAX_CLASSES = 1000
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_MAX_YAML_BYTES = 64 << 10  # brackets in brackets take the parser a second, and a second more for each 64 KiB
_MAX_LIST_BYTES = 16 << 20
#: Folders and lists of one part, each named once.
_MAX_VALUES = 100
_MAX_SHOWN = 8

Parts: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Labels by class id; names of pictures in the archive by part (``train``, and ``valid`` and ``test`` where the
    data set has them), sorted; ``source`` is the file that says so, ``notes`` what people should know."""

    labels: tuple[str, ...]
    parts: dict[str, list[str]]
    source: str
    notes: list[str] = field(default_factory=list[str])


def is_picture(name: str) -> bool:
    """Whether an entry is a picture, by its ending."""
    return PurePosixPath(name).suffix.lower() in _IMAGES


def find_layout(archive: Archive, file: InputFile, check: Callable[[], None] = lambda: None) -> Layout:
    """Read ``data.yaml``, else ``classes.txt``; raises InputError naming the line that is wrong.

    ``check`` is called at each folder and each listed picture (to cancel).
    """
    pictures = sorted(name for name in archive.names if is_picture(name))
    if not pictures:
        raise _refused(file, "there is no picture in the archive", ", ".join(sorted(_IMAGES)))
    described = _yaml_name(archive, file)
    if described:
        return _Described(archive, file, described, pictures, check).layout()
    classes = sorted((n for n in archive.names if _last(n) == "classes.txt"), key=_depth)
    if not classes:
        raise _refused(file, "there is neither a data.yaml nor, as LabelImg writes it, a classes.txt", None)
    text = archive.read(classes[0], _MAX_YAML_BYTES).decode("utf-8-sig", "replace")
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    return Layout(_checked_labels(labels, classes[0], file), {"train": pictures}, classes[0])


def _yaml_name(archive: Archive, file: InputFile) -> str | None:
    """The YAML file that describes the data set: ``data.yaml``, or else the only one; the least deep."""
    found = [n for n in archive.names if PurePosixPath(n).suffix.lower() in {".yaml", ".yml"}]
    found = [n for n in found if PurePosixPath(n).stem.lower() == "data"] or found
    found = [n for n in found if _depth(n) == min(map(_depth, found))]
    if len(found) > 1:
        raise _refused(file, "which of its YAML files describes the data set is not clear", ", ".join(found[:8]))
    return found[0] if found else None


class _Described:
    """A data set with its ``data.yaml``."""

    def __init__(
        self, archive: Archive, file: InputFile, name: str, pictures: Sequence[str], check: Callable[[], None]
    ) -> None:
        self._archive, self._file, self._name, self._pictures, self._check = archive, file, name, pictures, check
        self._places = [PurePosixPath(picture).parts for picture in pictures]
        self._base = PurePosixPath(name).parts[:-1]
        self._folders = _folders(pictures)
        self._values, self._lines = self._read()
        self._root = self._text("path", self._values.get("path") or "")
        self._notes: list[str] = []

    def layout(self) -> Layout:
        labels = self._labels()
        parts = {part: found for part in PARTS if (found := self._part(part))}
        if "train" not in parts:
            raise self._wrong("train", "names no pictures to learn: a line 'train:' with a folder is needed")
        self._disentangle(parts)
        return Layout(labels, parts, self._name, self._notes)

    def _read(self) -> tuple[dict[str, Any], dict[str, int]]:
        """The mapping, and the line of each key, from 1."""
        data = self._archive.read(self._name, _MAX_YAML_BYTES)
        try:
            found = read_mapping(data)
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            why = str(error.problem) if isinstance(error, NotPlain) else "is no valid YAML"
            raise UnreadableInput(
                f"The data set cannot be used: {self._name}{where} {why}.", field=self._file.field, received=self._name
            ) from None
        if found is None:
            raise _refused(self._file, f"{self._name} is not a list of 'name: value'", self._name)
        return found

    def _labels(self) -> tuple[str, ...]:
        names, count = self._values.get("names"), self._values.get("nc")
        if names is None and isinstance(count, int) and 0 < count <= MAX_CLASSES:
            names = [f"class_{number}" for number in range(count)]
        if isinstance(names, dict) and set(cast("dict[Any, Any]", names)) == set(range(len(names))):
            names = [names[number] for number in range(len(names))]
        labels = _checked_labels(names, f"line {self._lines.get('names', 1)} of {self._name}", self._file)
        if count is not None and count != len(labels):
            raise self._wrong("nc", f"says {str(count)[:20]} classes, and 'names:' has {len(labels)}")
        return labels

    def _part(self, part: str) -> list[str]:
        found: set[str] = set()
        for key in PARTS[part]:
            value = self._values.get(key)
            each = cast("list[Any]", value) if isinstance(value, list) else [value] if value else []
            named = dict.fromkeys(self._text(key, one) for one in each)
            if len(named) > _MAX_VALUES:
                raise self._wrong(key, f"names {len(named)} places; {_MAX_VALUES} at most are read")
            for one in named:
                self._check()
                found.update(self._pictures_of(key, one))
        return sorted(found)

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > 1000:
            raise self._wrong(key, "must be a path, or a list of paths")
        return value.strip()

    def _pictures_of(self, key: str, value: str) -> Iterable[str]:
        if value.lower().endswith(".txt"):
            return self._listed(key, value)
        folder = self._found(key, value, self._folders)
        if folder is None:
            shown = [_joined(f) for f in sorted(_nearest(self._pictures))][:_MAX_SHOWN]
            raise self._wrong(
                key,
                f"is {value[:200]!r}: no folder with pictures ends like that (looked for "
                f"{', '.join(repr(_joined(t)) for t in _tails(_split(value))[:4])}). "
                f"Folders with pictures are: {', '.join(shown)}",
            )
        pairs = zip(self._pictures, self._places, strict=True)
        return [name for name, place in pairs if place[: len(folder)] == folder]

    def _listed(self, key: str, value: str) -> list[str]:
        """The pictures that a text file lists, one in a line."""
        lists = {PurePosixPath(n).parts for n in self._archive.names if n.lower().endswith(".txt")}
        found = self._found(key, value, lists)
        if found is None:
            raise self._wrong(key, f"is {value[:200]!r}: the archive has no such list of pictures")
        by_last: dict[str, list[Parts]] = {}
        for place in self._places:
            by_last.setdefault(place[-1].casefold(), []).append(place)
        known, seen = set(self._places), set[str]()
        text = self._archive.read(_joined(found), _MAX_LIST_BYTES).decode("utf-8-sig", "replace")
        names: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line in seen:
                continue
            self._check()
            seen.add(line)
            if parts := _split(line):
                near = [parts] if parts in known else _longest(parts, by_last.get(parts[-1].casefold(), []))
                if len(near) != 1:
                    which = "several pictures of" if near else "no picture in"
                    raise _refused(
                        self._file,
                        f"line {number} of {_joined(found)} names {which} the archive, {line.strip()[:200]!r}",
                        line.strip()[:80],
                    )
                names.append(_joined(near[0]))
        return names

    def _found(self, key: str, value: str, known: set[Parts]) -> Parts | None:
        exact = self._exact(value, known)
        return self._by_tail(key, value, known) if exact is None else exact

    def _exact(self, value: str, known: set[Parts]) -> Parts | None:
        """What ``value`` means relative to ``path:`` or to the file itself."""
        for start in (self._root, ""):
            whole = _split(f"{_joined(self._base)}/{start}/{value}")
            if whole in known and not _absolute(start) and not _absolute(value):
                return whole
        return None

    def _by_tail(self, key: str, value: str, known: set[Parts]) -> Parts | None:
        parts = _split(value) if _absolute(value) else _split(f"{self._root}/{value}")
        near = [folder for folder in _longest(parts, known) if _agree(folder, parts)]
        below = [folder for folder in near if folder[: len(self._base)] == self._base]
        near = below if len(below) == 1 else near
        if len(near) > 1:
            shown = ", ".join(_joined(folder) for folder in sorted(near)[:_MAX_SHOWN])
            raise self._wrong(key, f"is {value[:200]!r}: more than one place of the archive ends like that: {shown}")
        return near[0] if near else None

    def _disentangle(self, parts: dict[str, list[str]]) -> None:
        """No picture is in two parts: those to be measured on are not learnt."""
        for part, other in (("test", "valid"), ("valid", "train"), ("test", "train")):
            shared = set(parts.get(part, ())) & set(parts.get(other, ()))
            if not shared:
                continue
            if other == "train" and len(shared) < len(parts["train"]):
                parts["train"] = sorted(set(parts["train"]) - shared)
                self._notes.append(f"{len(shared)} pictures named for both train and {part} are not learnt.")
            else:
                del parts[part]
                self._notes.append(f"{self._name} names the same pictures for {part} and {other}: {part} is not used.")

    def _wrong(self, key: str, reason: str) -> InputError:
        key = next((k for k in PARTS.get(key, (key,)) if k in self._lines), key)
        where = f"line {self._lines[key]} of {self._name}" if key in self._lines else self._name
        return _refused(self._file, f"{where}: '{key}:' {reason}", key)


def _checked_labels(names: Any, where: str, file: InputFile) -> tuple[str, ...]:
    """Names of the classes 0, 1, 2 ...: text, or numbers, which YAML reads from ``names: [0, 1]``."""
    fine = isinstance(names, list) and all(
        (isinstance(n, str) and n.isprintable() and 0 < len(n.strip()) <= 100) or (type(n) is int and abs(n) < 10**18)
        for n in cast("list[Any]", names)
    )
    labels = tuple(str(n).strip() for n in cast("list[Any]", names)) if fine else ()
    if not labels or len(set(labels)) < len(labels) or len(labels) > MAX_CLASSES:
        rule = f"must name the classes 0, 1, 2 ..., each with a printable name of its own, {MAX_CLASSES} at most"
        raise _refused(file, f"{where} {rule}", where)
    return labels


def _split(path: str) -> Parts:
    """A path of whatever system in its parts, without drive and root; ``..`` goes up, at the root nowhere."""
    parts: list[str] = []
    for part in re.sub(r"^(file://)?/?[A-Za-z]:(?=/|$)", "", path.strip().strip("\"'").replace("\\", "/")).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return tuple(parts)


def _absolute(path: str) -> bool:
    return bool(re.match(r"[/\\]|[A-Za-z]:|file:", path.strip()))


def _tails(parts: Parts) -> list[Parts]:
    return [parts[start:] for start in range(len(parts))]


def _longest(parts: Parts, known: Iterable[Parts]) -> list[Parts]:
    """Those of ``known`` with the longest tail in common with ``parts``; case counts only where all else is equal."""
    best: list[Parts] = []
    longest = (1, 0)
    for each in known:
        pairs = list(zip(reversed(each), reversed(parts), strict=False))
        same = next((n for n, (a, b) in enumerate(pairs) if a.casefold() != b.casefold()), len(pairs))
        exact = sum(a == b for a, b in pairs[:same])
        if (same, exact) > longest:
            best, longest = [], (same, exact)
        if same and (same, exact) == longest:
            best.append(each)
    return best


def _agree(folder: Parts, written: Parts) -> bool:
    """Not where one says ``train`` and the other ``valid``."""
    words = {word: part for part, called in PARTS.items() for word in called}
    said = [next((words[p.casefold()] for p in reversed(parts) if p.casefold() in words), None)
            for parts in (folder, written)]  # fmt: skip
    return None in said or said[0] == said[1]


def _folders(pictures: Iterable[str]) -> set[Parts]:
    """Every folder that has pictures, in itself or further down."""
    near = _nearest(pictures)
    return {folder[:length] for folder in near for length in range(len(folder) + 1)}


def _nearest(pictures: Iterable[str]) -> set[Parts]:
    return {PurePosixPath(name).parts[:-1] for name in pictures}


def _joined(parts: Parts) -> str:
    return "/".join(parts) or "."


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _depth(name: str) -> int:
    return name.count("/")


def _refused(file: InputFile, reason: str, received: Any) -> InputError:
    return InputError(f"The data set cannot be used: {reason}.", field=file.field, received=received)
