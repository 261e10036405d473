"""The gateway's own settings, beside those that every process shares."""

from __future__ import annotations

from pydantic import Field, SecretStr

from saccade_core.settings import ServingSettings, Settings


class GatewaySettings(Settings, ServingSettings):
    """Where to listen, and how much one request may bring."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; another than loopback needs an API key")
    port: int = Field(default=8000, ge=1, le=65535)
    admin_key: SecretStr | None = Field(
        default=None, description="An API key of an administrator that is valid from the start, as `saccade init` makes"
    )
    max_upload_bytes: int = Field(default=5 << 30, gt=0, description="Largest file that POST /v1/files takes")
    max_json_bytes: int = Field(default=8 << 20, gt=0, description="Largest JSON body")
    file_ttl_s: float | None = Field(
        default=30 * 86400.0, gt=0, description="How long an uploaded file is kept at least; none: for ever"
    )
    presign: bool = Field(
        default=True, description="Send downloads to the object store, where clients reach it (s3_public_endpoint)"
    )
    presign_s: int = Field(default=900, gt=0, le=86400, description="How long such an address works")
    max_wait_s: float = Field(default=60.0, ge=0, le=600, description="Longest wait for a job's end in one request")
