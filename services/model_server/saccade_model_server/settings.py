"""What the model server takes from its environment, ``SACCADE_MODEL_SERVER_*``, and its command line."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BatchingSettings(BaseSettings):
    """How requests are put together; the names are those of TensorFlow Serving's batching parameters."""

    model_config = SettingsConfigDict(env_prefix="SACCADE_MODEL_SERVER_", extra="ignore", frozen=True)

    max_batch_size: int = Field(default=128, ge=1, le=4096, description="Most rows of one run of a model")
    batch_timeout_micros: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="How long a run that is not full waits for more, while none is under way",
    )
    max_enqueued_batches: int = Field(default=100, ge=1, description="More requests wait than fill these: refused")
    num_batch_threads: int = Field(default=2, ge=1, le=256, description="Runs at the same time, of all models")


class ModelServerSettings(BatchingSettings):
    """Where to listen, and where models may be."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; there is no access control")
    port: int = Field(default=8500, ge=0, le=65535, description="gRPC; 0 is a free one")
    rest_port: int = Field(default=8501, ge=0, le=65535, description="REST; 0 is a free one")
    models_dir: Path = Field(
        default=Path(".saccade/serving"),
        description="Models are loaded from folders below this one only: they are code",
    )
    file_system_poll_wait_seconds: float = Field(default=1.0, gt=0, description="Pause between two looks for versions")
    num_load_threads: int = Field(default=1, ge=1, description="Models that are loaded at the same time")
    tensorflow_threads: int = Field(default=0, ge=0, description="Cores that one run uses; 0 is all")
