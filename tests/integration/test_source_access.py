"""How a source database is reached: by a secret, with TLS that checks chain and host."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.collector.sources.database import source_errors
from services.collector.sources.database_access import SourceAccess, SourceSecretUnusable
from shared.errors import SourceUnavailable
from tests.tls_front import make_authority, make_certificate, tls_front


@dataclass
class FakeSecrets:
    """Secrets by their id, and which were asked for."""

    texts: Mapping[str, str]
    asked: list[str] = field(default_factory=list)

    async def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803  # AWS's name
        self.asked.append(SecretId)
        return {"SecretString": self.texts[SecretId]}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_authority(tmp_path, "amazon")


def secret_of(url: str, port: int | None) -> FakeSecrets:
    parts = urlsplit(url)
    fields = {
        "username": parts.username,
        "password": parts.password,
        "host": "localhost",
        "port": port,
        "dbname": parts.path.strip("/"),
    }
    return FakeSecrets({"quarry-prod/source/totesys": json.dumps(fields)})


async def who_is_asked(access: SourceAccess) -> str:
    with source_errors("totesys"):
        connection = await access.connect("totesys")
        try:
            name: str = await connection.fetchval("SELECT current_database()")
        finally:
            await connection.close()
    return name


async def test_the_secret_of_the_dataset_leads_to_its_database(
    database_url: str, authority: Path
) -> None:
    async with tls_front(database_url, make_certificate(authority, "localhost")) as port:
        secrets = secret_of(database_url, port)
        name = await who_is_asked(SourceAccess("prod", {}, secrets, str(authority)))

    assert name == urlsplit(database_url).path.strip("/")
    assert secrets.asked == ["quarry-prod/source/totesys"]


async def test_a_certificate_of_an_unknown_authority_is_refused(
    database_url: str, authority: Path, tmp_path: Path
) -> None:
    stranger = make_authority(tmp_path, "stranger")
    async with tls_front(database_url, make_certificate(stranger, "localhost")) as port:
        access = SourceAccess("prod", {}, secret_of(database_url, port), str(authority))
        with pytest.raises(SourceUnavailable, match="certificate"):
            await who_is_asked(access)


async def test_a_certificate_for_another_host_is_refused(
    database_url: str, authority: Path
) -> None:
    async with tls_front(database_url, make_certificate(authority, "elsewhere.example")) as port:
        access = SourceAccess("prod", {}, secret_of(database_url, port), str(authority))
        with pytest.raises(SourceUnavailable, match="localhost"):
            await who_is_asked(access)


async def test_a_server_without_tls_is_refused(database_url: str, authority: Path) -> None:
    secrets = secret_of(database_url, urlsplit(database_url).port)
    with pytest.raises(SourceUnavailable, match="SSL"):
        await who_is_asked(SourceAccess("prod", {}, secrets, str(authority)))


async def test_an_address_that_is_given_needs_no_secret(database_url: str) -> None:
    secrets = FakeSecrets({})
    access = SourceAccess("local", {"totesys": database_url}, secrets)
    assert await who_is_asked(access) == urlsplit(database_url).path.strip("/")
    assert secrets.asked == []


@pytest.mark.parametrize("text", ["", "hunter2", '{"password": "hunter2"}', '["hunter2"]'])
async def test_a_secret_of_another_shape_is_refused_without_being_shown(text: str) -> None:
    access = SourceAccess("prod", {}, FakeSecrets({"quarry-prod/source/totesys": text}))
    with pytest.raises(SourceSecretUnusable, match="username, password, host") as raised:
        await access.connect("totesys")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
