"""The collector's own settings."""

from typing import Literal

from pydantic import Field, SecretStr

from services.collector.sources.dynamodb_access import ScanSettings
from services.collector.sources.portal import REAL_PORTAL
from services.collector.sources.source import DOWNLOAD_BYTES
from shared.settings import ServiceSettings


class CollectorSettings(ServiceSettings):
    """Adds where and how to download, how politely, and what an archive may hold."""

    portal_url: str = Field(default=REAL_PORTAL, description="The bulk-download page.")
    fetcher: Literal["browser", "http"] = Field(
        default="browser", description="A real browser, or plain HTTP where there is none."
    )
    user_agent: str = Field(
        default="Quarry/0.1 (data ingestion; +https://github.com/quarry-ingest/quarry)",
        description="Who we say we are; add a contact of your own.",
    )
    page_seconds: float = Field(default=60, gt=0, description="Time a page may take.")
    download_deadline_seconds: float = Field(
        default=600, gt=0, description="Time an archive may take."
    )
    min_delay_seconds: float = Field(
        default=5, ge=0, description="Pause between two visits to one host."
    )
    patience_seconds: float = Field(
        default=60, ge=0, description="Wait for our turn at a host before trying later."
    )
    download_bytes: int = Field(
        default=DOWNLOAD_BYTES, gt=0, description="Size an archive may have as downloaded."
    )
    member_bytes: int = Field(default=1024**3, gt=0)
    total_bytes: int = Field(default=4 * 1024**3, gt=0)
    members: int = Field(default=2_000, gt=0)
    ratio: int = Field(default=200, gt=0, description="Inflated to stored size of a member.")
    side_by_side: int = Field(default=8, gt=0, description="Members in work at once.")
    drop_bytes: int = Field(
        default=2_560 * 1024**2,
        gt=0,
        description="Size of a dropped file and of all a run takes: the processor holds them.",
    )
    source_urls: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Database URLs by dataset; one that is not here has a secret instead.",
    )
    dynamodb: dict[str, ScanSettings] = Field(
        default_factory=dict,
        description="By dataset: role, region, names and segments of its DynamoDB tables.",
    )
    tls_root_certificates: str | None = Field(
        default=None, description="PEM file of authorities to trust beside the system's own."
    )
