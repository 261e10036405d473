"""Runs ``enroll_faces``."""

from __future__ import annotations

from saccade_core.errors import InputError
from saccade_core.kind import Context, EnrolledFace, InputFile, Inputs
from saccade_kinds.enroll_faces.contract import (
    EnrollFacesFace,
    EnrollFacesParams,
    EnrollFacesRejected,
    EnrollFacesResult,
    EnrollFacesWarning,
)
from saccade_kinds.enroll_faces.known import Known
from saccade_kinds.enroll_faces.pictures import Sheet, photo_of
from saccade_models.faces import Face
from saccade_models.faces.embed import MODEL
from saccade_models.faces.quality import GOOD, Quality, faults, measure, subject
from saccade_models.faces.recognition import MeasuredFace, Recognition
from saccade_models.faces.search import FaceIndex
from saccade_models.images import Pixels, read_image, write_image


def run(inputs: Inputs, params: EnrollFacesParams, context: Context) -> EnrollFacesResult:
    """Enrol every photo that is good enough; where not one of them can be read, the first one's InputError."""
    return _Enrolment(params, context).run(inputs.many("images"))


class _Enrolment:
    """One job: photo after photo."""

    def __init__(self, params: EnrollFacesParams, context: Context) -> None:
        self._params, self._context = params, context
        self._recognition = Recognition.load(context)
        model = context.model(MODEL)
        self._model = f"{model.name}@{model.version}"
        self._known = Known(FaceIndex(context.gallery(), model), params.person)
        self._sheet = Sheet()
        self._faces: list[EnrollFacesFace] = []
        self._rejected: list[EnrollFacesRejected] = []
        self._warnings: list[EnrollFacesWarning] = []

    def run(self, files: list[InputFile]) -> EnrollFacesResult:
        """All photos, and the contact sheet."""
        unreadable: list[InputError] = []
        for number, file in enumerate(files):
            self._context.progress(number, len(files), "enrolling")
            try:
                picture = read_image(file).pixels
            except InputError as error:
                unreadable.append(error)
                self._reject(file, error.message, None, None)
                continue
            self._look_at(file, picture)
        if len(unreadable) == len(files):
            raise unreadable[0]
        write_image(self._context.artifact("enrolled.jpg"), self._sheet.pixels(), "jpeg", 88)
        self._context.progress(len(files), len(files), "done")
        return EnrollFacesResult(
            enrolled=len(self._faces), faces=self._faces, rejected=self._rejected, warnings=self._warnings
        )

    def _look_at(self, file: InputFile, picture: Pixels) -> None:
        face, remark = subject(self._recognition.finder.detect(picture))
        if face is None:
            self._reject(file, remark, picture, None)
            return
        found = self._recognition.measured(picture, [face])[0]
        quality = measure(face, found.crop)
        reasons = faults(quality) or self._known.refusals(found.embedding)
        if reasons:
            self._reject(file, "; ".join(reasons), picture, face)
            return
        doubts = [*([remark] if remark else []), *faults(quality, GOOD), *self._known.doubts(found.embedding)]
        self._enroll(file, picture, found, quality, doubts)

    def _enroll(
        self, file: InputFile, picture: Pixels, found: MeasuredFace, quality: Quality, doubts: list[str]
    ) -> None:
        number = len(self._faces)
        crop, photo = (self._context.scratch / f"{name}-{number}.jpg" for name in ("crop", "photo"))
        write_image(crop, found.crop, "jpeg", 95)
        write_image(photo, photo_of(picture, found.face), "jpeg", 90)
        self._context.enroll(
            EnrolledFace(
                person=self._params.person,
                embedding=found.embedding.tolist(),
                quality=quality.figures,
                crop=crop,
                photo=photo,
                source=f"inputs.{file.field}",
                model=self._model,
            )
        )
        self._known.add(found.embedding)
        place = {"image": file.name, "input": file.field}
        self._faces.append(EnrollFacesFace(**place, box=found.face.shown_box, quality=dict(quality.figures)))
        self._warnings += [EnrollFacesWarning(**place, message=words) for words in doubts]
        self._sheet.add(picture, found.face, "; ".join(doubts), accepted=True)

    def _reject(self, file: InputFile, reason: str, picture: Pixels | None, face: Face | None) -> None:
        self._rejected.append(EnrollFacesRejected(image=file.name, input=file.field, reason=reason))
        self._sheet.add(picture, face, reason, accepted=False)
