"""What ``detect_objects`` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from saccade_core.errors import SaccadeError
from saccade_core.kind import Artifact, Kind, Params, Pool, Result
from saccade_core.trained import read_wanted
from saccade_models.media_types import MEDIA, MEDIA_ARTIFACTS, MediaParams, MediaResult
from saccade_models.weights import models, versions

#: The pools that can run a family of detectors.
_POOLS: dict[str, tuple[Pool, ...]] = {
    "yolo": ("torch", "cpu"),
    "ssd_tflite": ("cpu",),
    "faster_rcnn": ("torch",),
    "rcnn": ("cpu",),
}

Coordinate = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]
Point = tuple[Coordinate, Coordinate]
Name = Annotated[str, Field(min_length=1, max_length=50)]
Label = Annotated[str, Field(min_length=1, max_length=100)]


class DetectObjectsZone(Params):
    """A part of the picture to count in: ``polygon`` [x, y] in pixels, at least 3 points."""

    name: Name
    polygon: Annotated[list[Point], Field(min_length=3, max_length=100)]


class DetectObjectsLine(Params):
    """A line to count over, from ``start`` to ``end``, [x, y] in pixels: the middles of boxes that cross it."""

    name: Name
    start: Point
    end: Point

    @model_validator(mode="after")
    def _has_length(self) -> DetectObjectsLine:
        if self.start == self.end:
            raise ValueError("start and end of a line are two points")
        return self


class DetectObjectsParams(MediaParams):
    """Which model looks for what, and what is counted."""

    model: str = Field(
        default="yolo11n",
        max_length=130,
        description="A registered detector, or one version of it as name@version: "
        + ", ".join(name for name, model in models().items() if model.family in _POOLS)
        + ". Or a detector that you trained: name, name@3 or name@production",
    )
    min_score: float = Field(default=0.25, ge=0, le=1, description="Least score of an object")
    iou: float = Field(
        default=0.45, ge=0, le=1, description="Of boxes of one class that overlap by more than this, the best is kept"
    )
    classes: list[Label] | None = Field(
        default=None, min_length=1, max_length=1000, description="Labels to look for; null: all that the model knows"
    )
    track: bool = Field(
        default=False,
        description="Of a video: follow each object from frame to frame. An object is followed from its second frame "
        "in a row with a score above min_score + 0.1 (0.6 at most); one that never has that gets no track_id",
    )
    zones: list[DetectObjectsZone] = Field(
        default=[],
        max_length=50,
        description="Polygons in which objects are counted, by the middle of their lower edge",
    )
    lines: list[DetectObjectsLine] = Field(
        default=[], max_length=50, description="Of a video, with track: lines over which objects are counted"
    )

    formats: list[Literal["coco", "yolo", "csv"]] = Field(
        default=["coco", "yolo", "csv"], max_length=3, description="Files of the objects to write beside the result"
    )

    @field_validator("model")
    @classmethod
    def _is_detector(cls, name: str) -> str:
        if not _is_registered(name):
            if read_wanted(name) is None:
                raise ValueError(
                    f"{name[:80]!r} can be no model's name; registered are: {', '.join(models())}; "
                    "one that you trained is called as in 'cells', 'cells@3' or 'cells@production'"
                )
            return name
        try:
            family = versions(name)[0].family
        except SaccadeError as error:
            raise ValueError(error.message) from None
        if family not in _POOLS:
            detectors = [known for known, model in models().items() if model.family in _POOLS]
            raise ValueError(f"model {name!r} finds no objects; those that do are: {', '.join(detectors)}")
        return name

    @model_validator(mode="after")
    def _are_countable(self) -> DetectObjectsParams:
        if self.lines and not self.track:
            raise ValueError("lines are counted over tracks: set 'track' to true")
        for what, names in (("zones", [z.name for z in self.zones]), ("lines", [line.name for line in self.lines])):
            if len(set(names)) < len(names):
                raise ValueError(f"each of the {what} needs a name of its own")
        return self


class DetectObjectsObject(Result):
    """One object: ``box`` [x1, y1, x2, y2] in pixels; ``class_id`` counts the model's labels from 0. ``track_id``, in
    frames.jsonl of a tracked video, is the same for one object in all frames; null where it was not followed."""

    label: str
    class_id: int
    score: Annotated[float, Field(ge=0, le=1)]
    box: tuple[float, float, float, float]
    track_id: int | None = None


class DetectObjectsVisit(Result):
    """A time in which there was something of a label, short absences passed over."""

    label: str
    start_s: float
    end_s: float
    most_at_once: int


class DetectObjectsInside(Result):
    """What was in a zone, ``most_at_once`` in one frame. Of tracked objects, each once: how many were inside
    (``objects``), came in from outside (``entered``) and went out (``left``); null where nothing was tracked."""

    most_at_once: int
    objects: int | None
    entered: int | None
    left: int | None


class DetectObjectsZoneCounts(DetectObjectsInside):
    """A zone's counts, of all objects and by label."""

    name: str
    by_label: dict[str, DetectObjectsInside]


class DetectObjectsCrossings(Result):
    """How many tracked objects crossed a line, each once a way: ``in`` from its left side to its right side, as seen
    when looking from start to end; ``out`` back."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    into: int = Field(alias="in")
    out: int


class DetectObjectsLineCounts(DetectObjectsCrossings):
    """A line's counts, of all objects and by label."""

    name: str
    by_label: dict[str, DetectObjectsCrossings]


class DetectObjectsResult(MediaResult):
    """What was found. ``objects``, best first, is null for a video, whose objects are in frames.jsonl. ``counts``, by
    label: of a picture the objects; of a video the tracks, or without ``track`` the most at once. A track has one
    label, the one that was surest over all its frames. What ``track`` could not follow (never surer than min_score +
    0.1) is in frames.jsonl and not in ``counts``."""

    objects: list[DetectObjectsObject] | None
    counts: dict[str, int]
    visits: list[DetectObjectsVisit] | None = Field(description="Of a video; null for a picture")
    zones: list[DetectObjectsZoneCounts]
    lines: list[DetectObjectsLineCounts]


def _is_registered(name: str) -> bool:
    return name.partition("@")[0] in models()


def _models(params: DetectObjectsParams) -> list[str]:
    return [params.model]


def _pools(params: DetectObjectsParams) -> tuple[Pool, ...]:
    """What users train is of the family yolo."""
    return _POOLS[versions(params.model)[0].family if _is_registered(params.model) else "yolo"]


KIND = Kind(
    name="detect_objects",
    pool=("torch", "cpu"),
    summary="Find things in a picture or a video, follow and count them.",
    inputs={"media": MEDIA},
    params=DetectObjectsParams,
    result=DetectObjectsResult,
    artifacts=(
        *MEDIA_ARTIFACTS,
        Artifact("coco.json", "All objects with scores, as COCO; of a video each frame looked at is an image"),
        Artifact("objects.csv", "All objects as a table"),
        Artifact("labels/*.txt", "Of a picture: its objects as YOLO writes them: class cx cy w h score"),
        Artifact("labels.zip", "Of a video: the same for each frame with objects, and data.yaml with the class names"),
    ),
    models=_models,
    families=("yolo",),
    parts=True,
    pools_for=_pools,
    together=8,
)
