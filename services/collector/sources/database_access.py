"""How to reach a dataset's source database: a URL of one's own, or a secret that may rotate."""

import json
import ssl
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

import asyncpg

from shared.aws import aws_errors
from shared.errors import PermanentError

_CONNECT_SECONDS = 15


class SourceSecretUnusable(PermanentError):
    """A source's secret does not have the fields of an RDS secret."""


class Secrets(Protocol):
    """The part of the Secrets Manager client that is used."""

    async def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803  # AWS's name
        """Return the current version of a secret."""
        ...


class SourceAccess:
    """Opens a connection per extraction; the secret is `quarry-{env}/source/{dataset}`."""

    def __init__(
        self,
        env: str,
        urls: Mapping[str, str],
        secrets: Secrets,
        root_certificates: str | None = None,
    ) -> None:
        self._env = env
        self._urls = urls
        self._secrets = secrets
        self._root_certificates = root_certificates

    async def connect(self, dataset: str) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the source of `dataset`.

        Raises:
            SourceSecretUnusable: its secret is not one of RDS's kind.
        """
        url, tls = self._urls.get(dataset), None
        if url is None:
            url = await self._url_of_secret(f"quarry-{self._env}/source/{dataset}")
            tls = self._trust()
        return await asyncpg.connect(url, ssl=tls, timeout=_CONNECT_SECONDS, statement_cache_size=0)

    def _trust(self) -> ssl.SSLContext:
        """Trust the system's authorities, and those of the file: RDS has its own."""
        context = ssl.create_default_context()
        if self._root_certificates is not None:
            context.load_verify_locations(self._root_certificates)
        return context

    async def _url_of_secret(self, secret_id: str) -> str:
        with aws_errors(f"reading secret {secret_id}"):
            answer = await self._secrets.get_secret_value(SecretId=secret_id)
        try:
            fields = json.loads(answer["SecretString"])
            user, password = (quote(fields[name], safe="") for name in ("username", "password"))
            host, port = fields["host"], int(fields.get("port", 5432))
            return (
                f"postgresql://{user}:{password}@{host}:{port}/{quote(fields['dbname'], safe='')}"
            )
        except (ValueError, KeyError, TypeError):
            # Not chained: the original error shows the text of the secret.
            raise SourceSecretUnusable(
                f"secret {secret_id} is not JSON with username, password, host, port and dbname"
            ) from None
