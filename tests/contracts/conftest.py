import shutil
from collections.abc import Iterator

import pytest

from tests.contracts.running_services import RunningServices, running_services


@pytest.fixture(scope="module")
def services(
    emulator_url: str, database_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServices]:
    """Every service, opened once per test file."""
    folder = tmp_path_factory.mktemp("zips")
    with running_services(emulator_url, database_server, folder) as opened:
        yield opened
    shutil.rmtree(folder)
