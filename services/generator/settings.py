"""The generator's own settings."""

from pydantic import Field

from shared.settings import ServiceSettings


class GeneratorSettings(ServiceSettings):
    """Adds where commands go and how many quarters one request may ask for."""

    next_queue_url: str = Field(description="The collector's queue.")
    max_periods: int = Field(default=40, ge=1, description="Most quarters in one request.")
