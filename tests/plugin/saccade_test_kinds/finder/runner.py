"""Reads the gallery's files once it has waited: what happens to the gallery meanwhile must not matter."""

from __future__ import annotations

from array import array

from saccade_core.kind import Context, EnrolledFace, Inputs
from saccade_test_kinds.finder.contract import FinderParams, FinderResult
from saccade_test_kinds.gates import wait_at


def run(inputs: Inputs, params: FinderParams, context: Context) -> FinderResult:
    """Wait, then read."""
    wait_at(params.gate, context)
    found = context.gallery()
    if params.enroll:
        picture = context.scratch / "a.jpg"
        picture.write_bytes(b"a")
        context.enroll(EnrolledFace("Nobody", [1.0], {}, picture, picture, "inputs.images[0]", "network@1"))
    owners = array("I", found.owners.read_bytes())
    return FinderResult(
        revision=found.revision,
        model=found.model,
        dimensions=found.dimensions,
        owners=[found.people[number] for number in owners],
        faces=found.faces.read_text().splitlines(),
        embeddings=list(array("f", found.embeddings.read_bytes())),
    )
