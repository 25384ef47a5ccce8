"""The loader's own settings."""

from pydantic import Field, SecretStr

from shared.settings import ServiceSettings


class LoaderSettings(ServiceSettings):
    """Adds where the database is and how long a load may take or wait there."""

    local_mode: bool = Field(
        default=False,
        validation_alias="LOCAL_MODE",
        description="Credentials come from the environment and `.env` alone, never from a secret.",
    )
    database_url: SecretStr | None = Field(
        default=None, validation_alias="DATABASE_URL", description="Wins over the secret."
    )
    database_secret: str | None = Field(
        default=None, description="Secrets Manager id of a secret shaped like RDS's own."
    )
    tls_root_certificates: str | None = Field(
        default=None, description="PEM file of the authorities RDS certificates come from."
    )
    lock_seconds: float = Field(default=30, gt=0, description="Longest wait for a table's lock.")
    load_seconds: float = Field(default=900, gt=0, description="Longest single statement.")
    idle_seconds: float = Field(
        default=60, gt=0, description="Longest silence of a worker inside its transaction."
    )
    keep_connections: bool = Field(
        default=True,
        description="Off: each connection is closed after its use, so that an idle Aurora pauses.",
    )
    may_migrate: bool = Field(
        default=True, description="Whether the loader's role may create and alter tables."
    )
