"""What a load has to do, given the newest state in place."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from contracts import LoadMode, LoadTable
from services.loader.ledger import Decision, LatestLoad, decide
from tests.loads import FIRST, bank_rows, write

EARLIER, LATER = FIRST - timedelta(days=1), FIRST + timedelta(days=1)


def declared(folder: Path, mode: LoadMode) -> LoadTable:
    return write(folder / "a", bank_rows({1: 10}), mode=mode, as_of=FIRST, digest="a" * 64)


@pytest.mark.parametrize(
    ("mode", "as_of", "same", "expected"),
    [
        ("replace_period", EARLIER, False, "apply"),
        ("replace_period", EARLIER, True, "unchanged"),
        ("replace_period", FIRST, True, "unchanged"),
        ("replace_period", LATER, False, "superseded"),
        ("replace_period", LATER, True, "superseded"),
        ("replace", LATER, False, "superseded"),
        ("merge", LATER, False, "apply"),
        ("merge", LATER, True, "superseded"),
        ("append", LATER, True, "apply"),
        ("append", EARLIER, True, "apply"),
    ],
)
def test_the_newest_state_decides(
    tmp_path: Path, mode: LoadMode, as_of: datetime, same: bool, expected: Decision
) -> None:
    declaration = declared(tmp_path, mode)
    digest = declaration.content_digest if same else "b" * 64
    latest = LatestLoad(as_of, digest, declaration.schema_fingerprint)

    assert decide(declaration, latest) == expected


def test_a_first_load_is_applied(tmp_path: Path) -> None:
    assert decide(declared(tmp_path, "replace_period"), None) == "apply"


def test_equal_sources_with_other_columns_are_loaded_again(tmp_path: Path) -> None:
    declaration = declared(tmp_path, "replace_period")
    latest = LatestLoad(EARLIER, declaration.content_digest, "c" * 64)

    assert decide(declaration, latest) == "apply"
