"""What ``recognize_faces`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from saccade_core.kind import GalleryName, Kind, Result
from saccade_models.media_types import MEDIA, MEDIA_ARTIFACTS, MediaParams, MediaResult

Similarity = Annotated[float, Field(ge=-1.001, le=1.001)]


class RecognizeFacesParams(MediaParams):
    """The gallery of known people, and how alike a face must be to be one of them."""

    gallery: GalleryName = Field(description="Name of the gallery")
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="Least cosine similarity; null: 0.45, measured with the network used"
    )
    max_false_accept_rate: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Instead of a threshold: share of comparisons of two people that may pass as one, "
        "from which the threshold is computed with the gallery's own photos",
    )
    max_candidates: int = Field(default=3, ge=1, le=20, description="So many similar people are told for each face")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.threshold is not None and self.max_false_accept_rate is not None:
            raise ValueError("give threshold or max_false_accept_rate, not both")
        return self


class RecognizeFacesCandidate(Result):
    """A person of the gallery, and the cosine similarity of their most similar photo."""

    person: str
    similarity: Similarity


class RecognizeFacesFace(Result):
    """One face: ``box`` [x1, y1, x2, y2] in pixels; ``person`` null: nobody of the gallery.

    ``similarity`` is the best candidate's, named or not; null where there is none. In a long video, who is removed
    from the gallery while the job runs is taken out: of candidates, and of ``person``, which is null then.
    """

    box: tuple[float, float, float, float]
    person: str | None
    similarity: Similarity | None
    candidates: list[RecognizeFacesCandidate]


class RecognizeFacesResult(MediaResult):
    """All faces of a picture, the surest detections first; null for a video, whose faces are in frames.jsonl.

    ``people``: in how many frames each known person was seen (a picture is one frame). ``threshold`` is the one used,
    computed from the gallery as it was when the job began, and ``notes`` say how far it can be trusted.
    """

    faces: list[RecognizeFacesFace] | None
    people: dict[str, int]
    threshold: float
    notes: list[str]


KIND = Kind(
    name="recognize_faces",
    pool="cpu",
    summary="Say who of a gallery's people is in a picture or a video.",
    inputs={"media": MEDIA},
    params=RecognizeFacesParams,
    result=RecognizeFacesResult,
    artifacts=MEDIA_ARTIFACTS,
    models=lambda _: ("yunet", "mobilefacenet"),
    gallery=lambda params: params.gallery,
    parts=True,
)
