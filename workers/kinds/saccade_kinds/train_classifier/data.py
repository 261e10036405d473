"""From the files of a data set to the three parts that are trained on, chosen by, and measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade_core.errors import InputError, InvalidParams, UnreadableInput
from saccade_core.kind import Context, Inputs, ModelFiles
from saccade_kinds.train_classifier.contract import (
    TrainClassifierCopies,
    TrainClassifierData,
    TrainClassifierParams,
    TrainClassifierPart,
    TrainClassifierUnreadable,
)
from saccade_kinds.train_classifier.network import MOBILENET_FAMILY, Task
from saccade_models.datasets.copies import Copies, digests, find_copies, without_copies
from saccade_models.datasets.load import Loaded, Unreadable, check_memory, load, look_at
from saccade_models.datasets.picture_input import PictureInput
from saccade_models.datasets.picture_set import PartName, PicturePart, PictureSet
from saccade_models.datasets.pictures import read_pictures
from saccade_models.datasets.prepare import as_floats
from saccade_models.networks.backbones import MOBILENET_MEAN, MOBILENET_SCALE
from saccade_models.serving.preprocess import load_preprocess
from saccade_models.training.data import Split, TrainingData, split_rows

#: Lists in a result are cut here; what is cut is counted.
_SHOWN = 100
#: Sides of the network's input where nothing is said: pictures of one size up to the first stay as they are.
_SMALL_SIDE, _SIDE, _BASE_SIDE = 64, 128, 160


@dataclass(frozen=True, slots=True)
class Pictures:
    """A data set, read: what the network gets, and what a report needs."""

    wanted: PictureInput
    parts: Mapping[PartName, Loaded]
    found: TrainClassifierData


def read(inputs: Inputs, params: TrainClassifierParams, base: ModelFiles | None, context: Context) -> Pictures:
    """Unpack, look for copies, cut off the parts that are not there, decode, and name what cannot be read.

    Raises UnreadableInput, InputTooLarge, EncryptedInput or InvalidParams.
    """
    files = inputs.many("dataset")
    context.progress(0, 1, "reading the data set")
    data = read_pictures(files, context.scratch / "dataset", context.check_cancelled)
    known: dict[PartName, list[bytes]] = {
        name: digests(part, context.check_cancelled) for name, part in data.parts.items()
    }
    copies = find_copies(data.parts, known)
    parts = dict(data.parts)
    if not ({"valid", "test"} <= parts.keys()):
        parts["train"] = without_copies(parts["train"], known["train"])
    left_out = len(data.parts["train"]) - len(parts["train"])
    wanted = _wanted(params, data, base)
    check_memory(sum(map(len, parts.values())), wanted.shape)
    loaded = _loaded(_cut(parts, params), wanted, context)
    unreadable = _unreadable(loaded, params, files[0].field, context)
    _check_parts(loaded, wanted, params, files[0].field)
    found = TrainClassifierData(
        form=data.form,
        height=wanted.height,
        width=wanted.width,
        channels=wanted.channels,
        train=_counted("train", loaded, data),
        valid=_counted("valid", loaded, data),
        test=_counted("test", loaded, data),
        unreadable=[TrainClassifierUnreadable(name=bad.name, reason=bad.reason) for bad in unreadable[:_SHOWN]],
        unreadable_count=len(unreadable),
        ignored=list(data.ignored[:_SHOWN]),
        copies=_copies(copies, left_out),
    )
    return Pictures(wanted, loaded, found)


def training_data(pictures: Pictures, task: Task) -> TrainingData:
    """The pictures as the network takes them."""

    def split(name: PartName) -> Split:
        part = pictures.parts[name]
        y = part.labels.astype(np.float32) if task == "binary" else part.labels
        return Split(as_floats(part.pixels, pictures.wanted), y)

    return TrainingData(task, split("train"), split("valid"), split("test"), pictures.wanted.labels)


def _wanted(params: TrainClassifierParams, data: PictureSet, base: ModelFiles | None) -> PictureInput:
    """The network's input: as the base asks, else as the parameters or the pictures say."""
    size = (params.image_size, params.image_size) if isinstance(params.image_size, int) else params.image_size
    labels = list(data.classes)
    if base is None:
        look = look_at(data.parts["train"])
        own = look.size if look.size and max(look.size) <= _SMALL_SIDE else (_SIDE, _SIDE)
        height, width = size or own
        return PictureInput(height=height, width=width, channels=look.channels, labels=labels)
    if base.facts.get("family") == MOBILENET_FAMILY:
        height, width = size or (_BASE_SIDE, _BASE_SIDE)
        scale, mean = MOBILENET_SCALE, MOBILENET_MEAN
        return PictureInput(height=height, width=width, channels=3, scale=scale, mean=mean, labels=labels)
    if "preprocess" not in base.files or "keras" not in base.files:
        raise InvalidParams(
            "A base is ssd_mobilenet or a trained classifier; this model is neither.",
            field="params.base",
            received=params.base,
        )
    known = load_preprocess(base.files["preprocess"])
    if not isinstance(known, PictureInput):
        raise InvalidParams("The base was not trained on pictures.", field="params.base", received=params.base)
    if size and size != (known.height, known.width):
        raise InvalidParams(
            f"The base takes pictures of {known.width}x{known.height}; leave image_size out.",
            field="params.image_size",
            received=list(size),
        )
    return known.model_copy(update={"labels": labels})


def _cut(parts: Mapping[PartName, PicturePart], params: TrainClassifierParams) -> dict[PartName, PicturePart]:
    """All three parts: those that were given, and what is cut off the training part for the others."""
    train = parts["train"]
    shares = {"valid": params.validation_split, "test": params.test_split}
    valid, test = (0.0 if name in parts else share for name, share in shares.items())
    rows = split_rows(train.labels, "multiclass", valid, test, params.seed)
    cut: dict[PartName, PicturePart] = {
        "train": train.taken(rows.train),
        "valid": parts.get("valid") or train.taken(rows.valid),
        "test": parts.get("test") or train.taken(rows.test),
    }
    return cut


def _loaded(parts: Mapping[PartName, PicturePart], wanted: PictureInput, context: Context) -> dict[PartName, Loaded]:
    total = sum(map(len, parts.values()))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        context.progress(min(done, total), total, "reading pictures")

    return {name: load(part, wanted, step) for name, part in parts.items()}


def _unreadable(
    loaded: Mapping[PartName, Loaded], params: TrainClassifierParams, field: str, context: Context
) -> list[Unreadable]:
    """What is left out, and told; raises UnreadableInput where that is too much."""
    unreadable = [bad for part in loaded.values() for bad in part.unreadable]
    total = sum(len(part.labels) for part in loaded.values()) + len(unreadable)
    if len(unreadable) > params.max_failure_rate * total:
        raise UnreadableInput(
            f"{len(unreadable)} of {total} pictures cannot be read, more than max_failure_rate allows; the first: "
            f"{unreadable[0].name!r}: {unreadable[0].reason}",
            field=field,
            received=len(unreadable),
        )
    for bad in unreadable[:_SHOWN]:
        context.log(f"{bad.name} is left out: {bad.reason}")
    return unreadable


def _check_parts(
    loaded: Mapping[PartName, Loaded], wanted: PictureInput, params: TrainClassifierParams, field: str
) -> None:
    """Each class must be learnt, and there must be something to measure with."""
    counts = np.bincount(loaded["train"].labels, minlength=len(wanted.labels))
    for label, count in zip(wanted.labels, counts.tolist(), strict=True):
        if count == 0:
            raise UnreadableInput(f"No picture of {label!r} is left to train with.", field=field, received=label)
    shares: dict[PartName, float] = {"valid": params.validation_split, "test": params.test_split}
    for name, share in shares.items():
        if share and not len(loaded[name].labels):
            raise InputError(
                f"There are too few pictures to keep some for the {name} part; give more, or a {name} share of 0.",
                field=field,
                received=len(loaded["train"].labels),
            )


def _counted(name: PartName, loaded: Mapping[PartName, Loaded], data: PictureSet) -> TrainClassifierPart:
    labels: NDArray[np.int64] = loaded[name].labels
    counts: list[int] = np.bincount(labels, minlength=len(data.classes)).tolist()
    return TrainClassifierPart(pictures=len(labels), of_class=counts, given=name in data.parts)


def _copies(copies: Copies, left_out: int) -> TrainClassifierCopies:
    def shown(groups: Sequence[Sequence[str]]) -> list[list[str]]:
        return [list(group[:_SHOWN]) for group in groups[:_SHOWN]]

    return TrainClassifierCopies(
        repeated=shown(copies.repeated),
        contradicting=shown(copies.contradicting),
        leaking=shown(copies.leaking),
        repeated_count=len(copies.repeated),
        contradicting_count=len(copies.contradicting),
        leaking_count=len(copies.leaking),
        left_out=left_out,
    )
