"""What the autoscaler takes from its environment."""

from __future__ import annotations

from pydantic import BaseModel, Field

from saccade_core.settings import DatabaseSettings


class Pool(BaseModel):
    """The workers of one queue, and how many there may be of them."""

    service: str = Field(description="Name of their service in docker-compose.yml")
    least: int = Field(default=1, ge=0)
    most: int = Field(default=4, ge=0)
    target_wait_s: float = Field(default=10.0, gt=0, description="A job should not wait for longer")
    scale_in_after_s: float = Field(default=120.0, gt=0)
    cool_down_s: float = Field(default=10.0, ge=0)
    grace_s: int = Field(
        default=45, gt=0, description="Time in which a worker that is stopped ends or hands back its job"
    )


class AutoscalerSettings(DatabaseSettings):
    """Which queues are looked after, and how the Docker API is reached."""

    autoscaler_project: str = Field(default="saccade", description="The Compose project")
    autoscaler_docker: str | None = Field(default=None, description="Address of the Docker API; none: as docker's own")
    autoscaler_period_s: float = Field(default=2.0, gt=0, description="Pause between two looks")
    autoscaler_pools: dict[str, Pool] = Field(
        default={"cpu": Pool(service="worker-cpu")},
        description="By queue (cpu, keras, keras.train) as JSON",
    )
