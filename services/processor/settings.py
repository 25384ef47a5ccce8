"""The processor's own settings."""

from pydantic import Field

from shared.settings import ServiceSettings


class ProcessorSettings(ServiceSettings):
    """Adds where loads go and how much is cleaned side by side."""

    next_queue_url: str = Field(description="The loader's FIFO queue.")
    threads: int = Field(default=2, ge=1, le=64, description="Tables cleaned at a time.")
