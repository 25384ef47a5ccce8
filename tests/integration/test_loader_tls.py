"""The loader's connection to PostgreSQL is encrypted, to the right host, or it is not made."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.loader import credentials
from services.loader.postgres import Database, ReadAccess
from shared.errors import TransientError
from tests.tls_front import make_authority, make_certificate, tls_front


@dataclass(frozen=True)
class OneSecret:
    """Secrets Manager with one secret."""

    text: str

    async def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803  # AWS's name
        del SecretId
        return {"SecretString": self.text}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def certificate(authority: Path) -> Path:
    return make_certificate(authority, "localhost")


def secret_access(database_url: str, host: str, port: int | None, authority: Path) -> ReadAccess:
    """Access as on AWS: a secret with the database's address, and the authorities to trust."""
    parts = urlsplit(database_url)
    fields = {
        "username": parts.username,
        "password": parts.password,
        "host": host,
        "port": port,
        "dbname": parts.path.lstrip("/"),
    }
    return credentials.rotating(OneSecret(json.dumps(fields)), "secret", str(authority))


async def ask(access: ReadAccess) -> object:
    async with Database.open(access, connections=1) as database, database.connection() as opened:
        return await opened.fetchval("SELECT current_database()")


async def test_a_certificate_of_a_known_authority_for_this_host_is_accepted(
    database_url: str, authority: Path, certificate: Path
) -> None:
    async with tls_front(database_url, certificate) as port:
        found = await ask(secret_access(database_url, "localhost", port, authority))
    assert found == urlsplit(database_url).path.lstrip("/")


async def test_a_certificate_of_an_unknown_authority_is_refused(
    database_url: str, certificate: Path, tmp_path: Path
) -> None:
    other = make_authority(tmp_path, "other")
    async with tls_front(database_url, certificate) as port:
        with pytest.raises(TransientError, match="certificate verify failed"):
            await ask(secret_access(database_url, "localhost", port, other))


async def test_a_certificate_for_another_host_is_refused(
    database_url: str, authority: Path, certificate: Path
) -> None:
    async with tls_front(database_url, certificate) as port:
        with pytest.raises(TransientError, match="mismatch"):
            await ask(secret_access(database_url, "127.0.0.1", port, authority))


async def test_a_server_without_tls_never_sees_the_password(
    database_url: str, authority: Path
) -> None:
    access = secret_access(database_url, "localhost", urlsplit(database_url).port, authority)
    with pytest.raises(TransientError, match="SSL upgrade"):
        await ask(access)


@pytest.mark.parametrize(("host", "accepted"), [("localhost", True), ("127.0.0.1", False)])
async def test_a_url_can_ask_for_the_same(
    database_url: str, authority: Path, certificate: Path, host: str, *, accepted: bool
) -> None:
    parts = urlsplit(database_url)
    async with tls_front(database_url, certificate) as port:
        netloc = f"{parts.username}:{parts.password}@{host}:{port}"
        query = f"sslmode=verify-full&sslrootcert={authority}"
        access = credentials.fixed(parts._replace(netloc=netloc, query=query).geturl())
        if accepted:
            assert await ask(access)
        else:
            with pytest.raises(TransientError, match="mismatch"):
                await ask(access)


async def test_access_by_secret_checks_chain_and_host(authority: Path) -> None:
    fields = '{"username": "a", "password": "b", "host": "c"}'
    access = await credentials.rotating(OneSecret(fields), "secret", str(authority))()
    assert access.tls is not None
    assert (access.tls.check_hostname, access.tls.verify_mode) == (True, ssl.CERT_REQUIRED)
