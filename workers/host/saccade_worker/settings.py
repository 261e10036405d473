"""What a worker process takes from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from saccade_core.settings import Settings


class WorkerSettings(Settings):
    """Settings of one worker process, beside the shared ones."""

    scratch_dir: Path = Field(default=Path(".saccade/scratch"), description="Local folder for one job's files")
    drain_s: float = Field(default=15.0, ge=0, description="Seconds a stopping worker gives the job it runs")
    max_input_bytes: int = Field(default=8 << 30, gt=0, description="Bytes that all inputs of a job may have together")
    fetch_limit_s: float = Field(default=3600.0, gt=0, description="Time in which a job's inputs must be here")
    fetch_buckets: list[str] = Field(default=[], description="Buckets that s3:// inputs may name")
    input_cache_bytes: int = Field(default=4 << 30, ge=0, description="Bytes of fetched inputs kept for later jobs")
    max_result_bytes: int = Field(default=32 << 20, gt=0, description="Largest result, as JSON")
    child_env: list[str] = Field(default=[], description="Further environment variables that runners may see")
    idle_memory_mb: int = Field(default=3072, gt=0, description="A child that keeps more than this is renewed")
