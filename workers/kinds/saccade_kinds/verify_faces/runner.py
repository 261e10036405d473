"""Runs ``verify_faces``."""

from __future__ import annotations

from dataclasses import dataclass

from saccade_core.errors import InputError
from saccade_core.kind import Context, InputFile, Inputs
from saccade_kinds.verify_faces.contract import VerifyFacesParams, VerifyFacesResult
from saccade_kinds.verify_faces.side_by_side import side_by_side
from saccade_models.faces.quality import faults, measure
from saccade_models.faces.recognition import MeasuredFace, Recognition
from saccade_models.images import Pixels, read_image, write_image


@dataclass(frozen=True, slots=True)
class _Subject:
    """A picture, the face that is compared, and what is to be said about them."""

    picture: Pixels
    found: MeasuredFace
    warnings: list[str]


def run(inputs: Inputs, params: VerifyFacesParams, context: Context) -> VerifyFacesResult:
    """Compare the largest faces; raises InputError, naming the input, where a picture has none."""
    recognition = Recognition.load(context)
    context.progress(0, 3, "looking")
    first = _subject(inputs.one("first"), recognition)
    context.progress(1, 3, "looking")
    second = _subject(inputs.one("second"), recognition)
    similarity = float(first.found.embedding @ second.found.embedding)
    same = similarity >= params.threshold
    context.progress(2, 3, "drawing")
    sheet = side_by_side(
        (first.picture, first.found.face), (second.picture, second.found.face), same=same, similarity=similarity
    )
    write_image(context.artifact("overlay.png"), sheet)
    context.progress(3, 3, "done")
    return VerifyFacesResult(
        same=same,
        similarity=round(similarity, 4),
        threshold=params.threshold,
        first_box=first.found.face.shown_box,
        second_box=second.found.face.shown_box,
        warnings=[*first.warnings, *second.warnings],
    )


def _subject(file: InputFile, recognition: Recognition) -> _Subject:
    picture = read_image(file).pixels
    faces = recognition.finder.detect(picture)
    if not faces:
        raise InputError("No face was found in this picture.", field=file.field, received=file.name)
    largest = max(faces, key=lambda face: face.width * face.height)
    found = recognition.measured(picture, [largest])[0]
    warnings = [f"{file.field}: {words}" for words in faults(measure(largest, found.crop))]
    if len(faces) > 1:
        warnings.insert(0, f"{file.field}: {len(faces)} faces were found; the largest was compared")
    return _Subject(picture, found, warnings)
