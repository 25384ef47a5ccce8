"""Where the database's address and password come from: a URL, or a secret that rotates."""

import json
import ssl
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from services.loader.postgres import Access, ReadAccess
from shared.aws import aws_errors
from shared.errors import PermanentError


class Secrets(Protocol):
    """The part of the Secrets Manager client that is used."""

    async def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803  # AWS's name
        """Return the current version of a secret."""


class SecretUnusable(PermanentError):
    """The database secret does not have the fields of an RDS secret."""


def fixed(url: str) -> ReadAccess:
    """Return access that never changes; TLS is as the URL says."""

    async def read() -> Access:
        return Access(url)

    return read


def in_database(read_access: ReadAccess, name: str) -> ReadAccess:
    """Return the same access to another database of the server."""

    async def read() -> Access:
        access = await read_access()
        address = urlsplit(access.url)._replace(path=f"/{quote(name, safe='')}")
        return Access(urlunsplit(address), access.tls)

    return read


def rotating(secrets: Secrets, secret_id: str, root_certificates: str | None) -> ReadAccess:
    """Return access that reads the secret each time it is asked; TLS verifies chain and host.

    `root_certificates` is a PEM file; None: the system's own authorities.
    """
    tls = ssl.create_default_context(cafile=root_certificates)

    async def read() -> Access:
        with aws_errors(f"reading secret {secret_id}"):
            answer = await secrets.get_secret_value(SecretId=secret_id)
        return Access(_url(secret_id, answer["SecretString"]), tls)

    return read


def _url(secret_id: str, text: str) -> str:
    try:
        fields = json.loads(text)
        user, password = (quote(fields[name], safe="") for name in ("username", "password"))
        host, port = fields["host"], int(fields.get("port", 5432))
        database = quote(fields.get("dbname", "quarry"), safe="")
    except (ValueError, KeyError, TypeError):
        # Not chained: the original error shows the text of the secret.
        raise SecretUnusable(
            f"secret {secret_id} is not JSON with username, password, host, port and dbname"
        ) from None
    return f"postgresql://{user}:{password}@{host}:{port}/{database}"
