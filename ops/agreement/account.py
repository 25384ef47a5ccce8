"""The processor's account of a folder against its members and the ledger: no row is lost."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts import clean_prefix
from contracts.datasets import dataset_named
from ops.agreement.difference import Difference, Lake
from ops.agreement.ledger import LedgerLine
from shared.errors import QuarryError


async def check_account(
    lake: Lake, line: LedgerLine, lines: Iterable[LedgerLine], file_lines: Mapping[str, int]
) -> list[Difference]:
    """Compare the account of the folder that `line` came from.

    `lines` are the loads in place, `file_lines` how many lines each member has.
    """
    declaration = line.declaration
    part = str(declaration.period) if declaration.period else "all"
    key = f"{clean_prefix(declaration.dataset, part, line.run_id)}_report.json"
    try:
        report = json.loads(await lake.get(key))
    except (QuarryError, ValueError) as error:
        return [Difference(key, f"the processor's report cannot be read: {error}")]
    loaded = {
        one.declaration.table: one.declaration.rows
        for one in lines
        if (one.run_id, one.declaration.manifest_key) == (line.run_id, declaration.manifest_key)
    }
    if "packets" in report:
        return list(_compare_packets(key, report, loaded, file_lines))
    found = list(_compare_report(part, report["tables"], loaded))
    dataset = dataset_named(declaration.dataset)
    if dataset.format == "cdr_bulk":
        found += _compare_records(part, report["tables"], file_lines)
    elif dataset.items:
        found += _compare_scanned(part, report["tables"], file_lines)
    return found


def _compare_scanned(
    part: str, tables: Sequence[dict[str, Any]], file_lines: Mapping[str, int]
) -> Iterable[Difference]:
    """Compare what was scanned of each table with what was loaded and quarantined of it."""
    for table in tables:
        scanned = sum(file_lines.get(name, 0) for name in table["files"])
        if scanned != table["rows_out"] + table["quarantined"]:
            yield Difference(
                f"{part}/{table['table']}",
                f"{scanned} items scanned, but {table['rows_out']} loaded and "
                f"{table['quarantined']} quarantined",
            )


def _compare_packets(
    key: str, report: dict[str, Any], loaded: Mapping[str, int], file_lines: Mapping[str, int]
) -> Iterable[Difference]:
    """Compare what was read of packets with their files, and what was cleaned with the ledger."""
    counts = report["counts"]
    held = [
        sum(own)
        for one in report["packets"]
        if (own := [n for name, n in file_lines.items() if _is_packet(name, one)])
    ]
    if len(held) == len(report["packets"]) and sum(held) != counts["rows_in"]:
        said = f"the packets hold {sum(held)} rows, the processor read {counts['rows_in']}"
        yield Difference(key, said)
    if len(loaded) != counts["tables"]:
        yield Difference(key, f"{counts['tables']} loads ordered, {len(loaded)} in the ledger")
    elif sum(loaded.values()) != counts["rows"]:
        said = f"{counts['rows']} rows cleaned, {sum(loaded.values())} in the ledger"
        yield Difference(key, said)


def _is_packet(file_name: str, packet: Mapping[str, Any]) -> bool:
    return file_name.rpartition("/")[2].startswith(f"{packet['table']}_{packet['id']}_")


def _compare_report(
    part: str, tables: Sequence[dict[str, Any]], loaded: dict[str, int]
) -> Iterable[Difference]:
    for table in tables:
        where = f"{part}/{table['table']}"
        if table["rows_in"] != table["rows_out"] + table["quarantined"]:
            yield Difference(
                where,
                f"{table['rows_in']} rows in, but {table['rows_out']} out and "
                f"{table['quarantined']} quarantined",
            )
        if loaded.get(table["table"], table["rows_out"]) != table["rows_out"]:
            yield Difference(
                where, f"{table['rows_out']} rows cleaned, {loaded[table['table']]} in the ledger"
            )


def _compare_records(
    part: str, tables: Sequence[dict[str, Any]], file_lines: Mapping[str, int]
) -> Iterable[Difference]:
    """Compare the files' own record counts with what the processor read.

    A file may also be described by a table made of all files (the dictionary), so it is compared
    with the table that has the fewest. Of a table with quarantined records a file may hold more,
    duplicates of a key, than the table had rows.
    """
    owner: dict[str, dict[str, Any]] = {}
    for table in sorted(tables, key=lambda table: len(table["files"]), reverse=True):
        owner.update(dict.fromkeys(table["files"], table))
    for name, table in sorted(owner.items()):
        # POR has one header line, a schedule two.
        records = file_lines.get(name, 0) - (1 if " POR " in name else 2)
        if name in file_lines and not table["quarantined"] and records != table["rows_in"]:
            yield Difference(
                f"{part}/{table['table']}",
                f"{name} holds {records} records, the processor read {table['rows_in']}",
            )
