"""What every service reads from its environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.consumer import RetryPolicy


class ServiceSettings(BaseSettings):
    """Set by `infra/` in AWS and by `ops/stack` locally; every variable starts with `QUARRY_`."""

    model_config = SettingsConfigDict(env_prefix="QUARRY_", frozen=True)

    env: str
    bucket: str
    bus: str
    runs_table: str
    queue_url: str
    dlq_url: str
    visibility_seconds: int = Field(default=120, ge=3, le=43_200)
    max_receive_count: int = Field(default=5, ge=1, le=1000)
    retry_base_seconds: float = Field(default=10, gt=0, le=900)
    lanes: int = Field(default=1, ge=1, le=64, description="Messages worked on side by side.")
    wait_seconds: int = Field(default=10, ge=0, le=20, description="Length of one long poll.")
    grace_seconds: float = Field(
        default=20, ge=0, description="Time a message may take to finish after SIGTERM."
    )

    @property
    def retry(self) -> RetryPolicy:
        """The part a consumer needs."""
        return RetryPolicy(self.visibility_seconds, self.max_receive_count, self.retry_base_seconds)
