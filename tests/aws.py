"""AWS for tests: the emulator with the local stack's resources.

One per test file: its queues and its run log hold what that file put there, and nothing else.
"""

import os
from collections.abc import Iterator

import pytest

from infra.names import LOCAL_REGION
from tests.emulator import running_emulator


@pytest.fixture(scope="module")
def emulator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of an emulator that has the queues, bus, bucket and table of `local`."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as url:
        yield url


@pytest.fixture
def emulator(emulator_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let this test's AWS clients speak to the emulator, as the services' environment does."""
    environment = {
        "AWS_ENDPOINT_URL": emulator_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return emulator_url
