"""``probe``: a kind that behaves as badly as it is told to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result


class ProbeParams(Params):
    """How to behave."""

    mode: Literal[
        "echo",
        "sleep",
        "checkpoints",
        "hang",
        "chatter",
        "eat_memory",
        "crash",
        "leave_a_fork",
        "spawn",
        "environment",
        "models",
        "fail",
        "fail_once",
    ] = "echo"
    text: str = Field(default="", max_length=1000, description="Echoed, and written to echo.txt")
    seconds: float = Field(default=0.0, ge=0, le=600)
    steps: int = Field(default=1, ge=1, le=1000)
    models: list[str] = Field(default=[], description="Weights that the run declares")
    parts: int = Field(default=0, ge=0, le=100, description="Split into so many parts, which all behave as told")
    rounds: int = Field(default=1, ge=1, le=100, description="The join plans as many parts again, so often in all")
    may_fail: bool = Field(default=False, description="A part that fails does not fail the job")
    bad_join: int = Field(default=0, ge=0, description="The join of this round dies the first time")
    bad_part: int = Field(default=-1, ge=-1, description="Only this part behaves as told; the others just write")
    effects: str = Field(default="", description="A file that gets one line for each run")


class ProbeResult(Result):
    """What was done."""

    text: str
    resumed_at: int = 0


KIND = Kind(
    name="probe",
    pool="cpu",
    summary="Behaves as it is told to; for tests.",
    inputs={"file": Input(("image", "text"), "Any image or text", required=False)},
    params=ProbeParams,
    result=ProbeResult,
    artifacts=(Artifact("echo.txt", "The text."), Artifact("part.txt", "Of each part: the text and its number.")),
    time_limit_s=60,
    memory_mb=700,
    parts=True,
    together=4,
    models=lambda params: params.models,
)
