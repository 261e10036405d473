"""Enrols as told."""

from __future__ import annotations

import os
import signal

from saccade_core.kind import Context, EnrolledFace, Inputs
from saccade_test_kinds.enroller.contract import EnrollerParams, EnrollerResult
from saccade_test_kinds.gates import wait_at


def run(inputs: Inputs, params: EnrollerParams, context: Context) -> EnrollerResult:
    """Enrol a face for each input, wait, then die or end."""
    files = inputs.many("images")
    for number, file in enumerate(files):
        crop, photo = context.scratch / f"{number}-crop.jpg", context.scratch / f"{number}-photo.jpg"
        crop.write_bytes(b"\xff\xd8crop")
        photo.write_bytes(b"\xff\xd8photo")
        context.enroll(
            EnrolledFace(params.person, params.embedding, {"sharpness": 1.5}, crop, photo, file.field, params.model)
        )
    wait_at(params.gate, context)
    if params.die:
        os.kill(os.getpid(), signal.SIGKILL)
    return EnrollerResult(enrolled=len(files), revision=context.gallery().revision)
