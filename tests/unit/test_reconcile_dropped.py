"""A dropped file in the lake against its manifest."""

from pathlib import Path

import pytest

from contracts.drop_table import DropColumn, DropTable
from ops.agreement.dropped_file import check_dropped
from tests.dropped_files import listed
from tests.fakes import FakeLake

WORDS = DropTable(
    name="words", patterns=("w*",), columns=(DropColumn(name="a"), DropColumn(name="b"))
)
DATA = b'a;b\r\n1;"x\r\ny"\r\n\r\n2;\r\n'


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        pytest.param(DATA, None, id="as it was"),
        pytest.param(DATA[:-1], "has 20 bytes, the manifest says 21", id="cut short"),
        pytest.param(DATA.replace(b"1", b"7"), "does not have the digest", id="changed"),
        pytest.param(None, "is in the manifest, but: ", id="gone"),
    ],
)
async def test_a_file_that_is_not_as_its_manifest_says_is_told(
    tmp_path: Path, stored: bytes | None, said: str | None
) -> None:
    (tmp_path / "file").write_bytes(DATA)
    file = listed(tmp_path / "file", WORDS, "words.csv")
    assert file.dropped is not None
    lake = FakeLake({file.key: stored} if stored is not None else {})
    found = await check_dropped(lake, file, file.dropped)
    assert found is None if said is None else found is not None and said in found


async def test_another_number_of_records_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    file = listed(tmp_path / "file", WORDS, "words.csv")
    assert file.dropped is not None
    lake = FakeLake({file.key: DATA})
    miscounted = file.model_copy(update={"rows": 4})
    found = await check_dropped(lake, miscounted, file.dropped)
    assert found == "holds 2 records, the manifest says 4"
