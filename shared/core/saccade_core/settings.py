"""Settings that every process shares; each process adds its own few in a small class of its own.

Values come from environment variables ``SACCADE_*``, else from the TOML file that ``SACCADE_CONFIG`` names,
else from the defaults here, which suit the embedded stack in the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class ProcessSettings(BaseSettings):
    """Base of each process's settings: environment over file over defaults."""

    model_config = SettingsConfigDict(env_prefix="SACCADE_", extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        config = os.environ.get("SACCADE_CONFIG")
        file = (TomlConfigSettingsSource(settings_cls, Path(config)),) if config else ()
        return (init_settings, env_settings, *file)


class DatabaseSettings(ProcessSettings):
    """Where the records are."""

    database_url: str = Field(
        default="sqlite:///.saccade/saccade.db",
        description="SQLAlchemy URL: sqlite:///path or postgresql+psycopg://user:password@host/name",
    )


class RedisSettings(ProcessSettings):
    """Where the queue is."""

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="redis://[:password@]host:port/db, or redis+socket:///path of a Unix socket",
    )


class BlobSettings(ProcessSettings):
    """Where the bytes are."""

    blobs_url: str = Field(
        default="file:.saccade/blobs",
        description="file:path of a local folder, or s3://bucket[/prefix]",
    )
    s3_endpoint: str | None = Field(default=None, description="URL of the S3 server as this process reaches it")
    s3_public_endpoint: str | None = Field(
        default=None,
        description="URL of the S3 server as clients reach it; where set, downloads are presigned",
    )
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_region: str = "us-east-1"


class ServingSettings(ProcessSettings):
    """Where trained models are served."""

    serving_url: str | None = Field(
        default=None,
        description="host:port of the gRPC of TensorFlow Serving or the model server; none: nothing is served",
    )


class Settings(DatabaseSettings, RedisSettings, BlobSettings):
    """What gateway, keeper and workers all need."""
