"""Comparing what should be the same: zip members, manifest, Parquet, ledger and table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ops.agreement.account import check_account
from ops.agreement.difference import Difference, Lake
from ops.agreement.folder import check_folder
from ops.agreement.ledger import LedgerLine, loads_in_place
from ops.agreement.table import check_table
from services.loader.postgres import Database


@dataclass(frozen=True)
class Reconciled:
    """What was compared, and what differs."""

    folders: int
    files: int
    loads: int
    rows: int
    differences: tuple[Difference, ...]


def together(found: Sequence[Reconciled]) -> Reconciled:
    """Add up what was compared in several databases."""
    return Reconciled(
        folders=sum(one.folders for one in found),
        files=sum(one.files for one in found),
        loads=sum(one.loads for one in found),
        rows=sum(one.rows for one in found),
        differences=tuple(difference for one in found for difference in one.differences),
    )


async def reconcile(
    database: Database, lake: Lake, *, dataset: str | None = None, period: str | None = None
) -> Reconciled:
    """Compare everything that is in place, of one dataset or period if asked.

    Nothing is changed: tables are compared with loads that are rolled back.
    """
    lines = await loads_in_place(database, dataset, period)
    differences: list[Difference] = []
    manifests = sorted({line.declaration.manifest_key for line in lines})
    file_lines: dict[str, dict[str, int]] = {}
    for key in manifests:
        found, file_lines[key] = await check_folder(lake, key)
        differences += found
    for _, own in groupby(lines, key=_table):
        differences += await check_table(database, lake, list(own))
    for line in {(one.declaration.manifest_key, one.run_id): one for one in lines}.values():
        own_files = file_lines[line.declaration.manifest_key]
        differences += await check_account(lake, line, lines, own_files)
    return Reconciled(
        folders=len(manifests),
        files=sum(len(files) for files in file_lines.values()),
        loads=len(lines),
        rows=sum(line.declaration.rows for line in lines),
        differences=tuple(differences),
    )


def _table(line: LedgerLine) -> tuple[str, str]:
    return line.declaration.table_schema, line.declaration.table
