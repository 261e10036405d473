"""Detection data sets in YOLO's layout, as zip from outside: checked, and written anew for a training.

What comes out is ``{train,valid,test}/{images,labels}/000001.*`` and a ``data.yaml``: every label file is written
anew, every picture has been decoded once, by the reader that all kinds share.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from saccade_core.errors import InputError, InputTooLarge
from saccade_core.kind import InputFile
from saccade_models.archives import Archive, ArchiveLimits, open_archive
from saccade_models.datasets.yolo_cut import Split, cut_parts
from saccade_models.datasets.yolo_labels import Box, LabelReport, read_labels, write_labels
from saccade_models.datasets.yolo_layout import Layout, find_layout, is_picture
from saccade_models.images import read_image, write_image

MAX_PICTURES = 200_000
_LIMITS = ArchiveLimits(files=2 * MAX_PICTURES + 1000, bytes=64 << 30, file_bytes=256 << 20)
_MAX_LABEL_BYTES = 4 << 20
#: Shorter sides are not learnt from.
_LEAST_SIDE = 10
_JPEG_QUALITY = 95

#: Called with pictures done and to do; raises to cancel.
Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: the copy to learn from, its name in the archive, its boxes."""

    path: Path
    source: str
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture that was left out, and why."""

    picture: str
    reason: str


@dataclass(frozen=True, slots=True)
class YoloDataset:
    """A checked data set. ``parts`` has ``train`` and ``valid``, and ``test`` where there is one; ``yaml`` is the new
    ``data.yaml``. ``split`` names parts that were cut off by us; ``labels_without_picture`` and ``unreadable`` are
    names in the archive."""

    yaml: Path
    labels: Sequence[str]
    parts: Mapping[str, Sequence[Picture]]
    source: str
    split: Sequence[str]
    found: LabelReport
    unreadable: Sequence[Unreadable]
    labels_without_picture: Sequence[str]
    notes: Sequence[str] = field(default_factory=list[str])


def read_yolo_dataset(
    file: InputFile, folder: Path, split: Split, step: Step = lambda _done, _total: None
) -> YoloDataset:
    """Check the data set in the zip ``file`` and write it to ``folder``, which is private and empty.

    A data set without valid part gets one, cut off from train; where it has no test part either, one of these too.
    Copies of one picture, byte for byte, stay in one part then.
    Raises InputError naming the line of ``data.yaml`` or of a label file that is wrong, and what ``open_archive``
    raises.
    """
    with open_archive(file, _LIMITS) as archive:
        total = sum(map(is_picture, archive.names))

        def check() -> None:
            step(0, total)

        layout = find_layout(archive, file, check)
        if sum(map(len, layout.parts.values())) > MAX_PICTURES:
            raise InputTooLarge(
                f"A data set may have at most {MAX_PICTURES} pictures.",
                field=file.field,
                received=sum(map(len, layout.parts.values())),
            )
        cut = cut_parts(archive, layout, split, file, check)
        labels, report = _read_labels(archive, layout, file, check)
        writer = _Writer(archive, file, folder, step, sum(map(len, layout.parts.values())))
        parts = {part: writer.write(part, names, labels) for part, names in layout.parts.items()}
        lost = _without_picture(archive, layout)
    _check_boxes(parts, file)
    notes = [*layout.notes, *_missing_classes(parts["train"], layout.labels), *writer.copies()]
    described = folder / "data.yaml"
    paths = {
        key: f"{part}/images" for key, part in (("train", "train"), ("val", "valid"), ("test", "test")) if part in parts
    }
    text = yaml.safe_dump({"path": str(folder), **paths, "names": dict(enumerate(layout.labels))}, sort_keys=False)
    described.write_text(str(text), "utf-8")
    return YoloDataset(described, layout.labels, parts, layout.source, cut, report, writer.unreadable, lost, notes)


def _read_labels(
    archive: Archive, layout: Layout, file: InputFile, check: Callable[[], None]
) -> tuple[dict[str, list[Box]], LabelReport]:
    """The boxes of each picture that has a label file; all label files are read before what is wrong is said."""
    report, names = LabelReport(), set(archive.names)
    found: dict[str, list[Box]] = {}
    for pictures in layout.parts.values():
        for picture in pictures:
            check()
            label = next((name for name in _label_names(picture) if name in names), None)
            if label:
                data = archive.read(label, _MAX_LABEL_BYTES)
                found[picture] = read_labels(data, label, len(layout.labels), report)
    report.refuse(file)
    return found, report


def _label_names(picture: str) -> list[str]:
    """Where a picture's label file may be: in ``labels`` in place of ``images``, beside it, in a folder beside it."""
    path = PurePosixPath(picture).with_suffix(".txt")
    parts = list(path.parts)
    places = [len(parts) - 1 - n for n, part in enumerate(reversed(parts)) if part.lower() == "images"]
    swapped = [
        str(PurePosixPath(*parts[:at], called, *parts[at + 1 :])) for at in places for called in ("labels", "Labels")
    ]
    beside = [str(path), str(path.parent / "labels" / path.name), str(path.parent.parent / "labels" / path.name)]
    return [*swapped, *beside, str(PurePosixPath("labels", *parts))]


def _without_picture(archive: Archive, layout: Layout) -> list[str]:
    """Label files (in a folder ``labels``, or beside pictures) of which there is no picture."""
    pictures = [name for name in archive.names if is_picture(name)]
    known = {label for picture in pictures for label in _label_names(picture)}
    near = {PurePosixPath(picture).parent for picture in pictures}
    return sorted(
        name
        for name in archive.names
        if name.lower().endswith(".txt") and name not in known and name != layout.source
        and "readme" not in name.lower() and PurePosixPath(name).name != "classes.txt"
        and (PurePosixPath(name).parent in near or "labels" in map(str.lower, PurePosixPath(name).parts[:-1]))
    )  # fmt: skip


class _Writer:
    """Writes the pictures that can be read, and their labels, numbered in order."""

    def __init__(self, archive: Archive, file: InputFile, folder: Path, step: Step, total: int) -> None:
        self._archive, self._file, self._folder, self._step, self._total = archive, file, folder, step, total
        self._done = 0
        self._parts_of: dict[str, set[str]] = {}
        self.unreadable: list[Unreadable] = []

    def write(self, part: str, names: Sequence[str], labels: Mapping[str, Sequence[Box]]) -> list[Picture]:
        """The pictures of one part."""
        for kind in ("images", "labels"):
            (self._folder / part / kind).mkdir(parents=True)
        return [
            Picture(path, name, labels.get(name, []))
            for name in names
            if (path := self._write(part, name, labels.get(name, []))) is not None
        ]

    def _write(self, part: str, name: str, boxes: Sequence[Box]) -> Path | None:
        self._step(self._done, self._total)
        self._done += 1
        unpacked = self._archive.extract(
            self._folder / "unpacked", [name], lambda: self._step(self._done, self._total)
        )[name]
        stem = f"{self._done:06d}"
        try:
            path = self._picture(unpacked, name, self._folder / part / "images" / stem)
        except InputError as error:
            self.unreadable.append(Unreadable(name, error.message))
            return None
        (self._folder / part / "labels" / f"{stem}.txt").write_text(write_labels(boxes), "utf-8")
        self._parts_of.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), set()).add(part)
        return path

    def _picture(self, unpacked: Path, name: str, target: Path) -> Path:
        """Move a picture, or write it anew where the training's own reader may see it otherwise than ours."""
        picture = read_image(InputFile(unpacked, name, "", self._file.field))
        if min(picture.width, picture.height) < _LEAST_SIDE:
            raise InputError(f"It is {picture.width}x{picture.height}; both sides must have {_LEAST_SIDE} pixels.")
        plain = picture.source_mode in {"RGB", "L"} and picture.orientation == 1
        suffix = {"jpeg": ".jpg", "png": ".png", "bmp": ".bmp"}.get(picture.format) if plain else None
        path = target.with_suffix(suffix or ".jpg")
        if suffix:
            shutil.move(unpacked, path)
        else:
            write_image(path, picture.pixels, "jpeg", _JPEG_QUALITY)
            unpacked.unlink()
        return path

    def copies(self) -> list[str]:
        """What to say about pictures that are in more than one part."""
        count = sum(len(parts) > 1 for parts in self._parts_of.values())
        return [
            f"{count} pictures are in more than one part, byte for byte: figures are better than on new pictures."
        ] * (count > 0)


def _check_boxes(parts: Mapping[str, Sequence[Picture]], file: InputFile) -> None:
    for part, pictures in parts.items():
        if not any(picture.boxes for picture in pictures):
            raise InputError(
                f"The data set cannot be used: none of the {len(pictures)} readable pictures of {part!r} has a box.",
                field=file.field,
                received=part,
            )


def _missing_classes(pictures: Sequence[Picture], labels: Sequence[str]) -> list[str]:
    seen = {box[0] for picture in pictures for box in picture.boxes}
    missing = [label for number, label in enumerate(labels) if number not in seen]
    return [f"No picture of train has a box of: {', '.join(missing[:20])}."] if missing else []
