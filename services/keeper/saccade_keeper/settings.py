"""What the keeper takes from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from saccade_core.settings import ServingSettings, Settings


class KeeperSettings(Settings, ServingSettings):
    """Settings of the keeper, beside the shared ones."""

    keeper_period_s: float = Field(default=0.5, gt=0, description="Pause between two looks at the records")
    keeper_sweep_s: float = Field(default=3600.0, gt=0, description="Pause between two searches for forgotten bytes")
    orphan_age_s: float = Field(default=86400.0, gt=0, description="Bytes that no record names live this long")
    serving_dir: Path = Field(default=Path(".saccade/serving"), description="Where models are put to be served")
    serving_server_dir: str | None = Field(
        default=None, description="The same folder as the model server sees it, where that is another path"
    )
    serving_most_versions: int = Field(
        default=64, ge=1, description="The model server loads no more; those of aliases first, then those wanted last"
    )
    serving_most_bytes: int = Field(default=4 << 30, ge=1, description="As above, by the sizes of SavedModels")
