"""A clean table on disk: its Parquet, its quarantine, and what is still to be said about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.processor.clean_table import CleanTable, PartedTable
from services.processor.column_types import Types
from services.processor.parquet import ParquetFile, ParquetParts, write_parquet
from shared.errors import RowsUnaccounted

_QUARANTINE_DESCRIPTIONS = {
    "file": "File the record came from",
    "row_number": "Place among the data records of the file, from 1",
    "idrssd": "Bank, where the record tells",
    "key": "Primary key of the record",
    "rule": "Which rule the record breaks",
    "column": "First column that does not fit, for rules about one column",
    "reason": "What is wrong, in words",
    "record": "The record as it was, without its line end",
}


@dataclass(frozen=True)
class WrittenTable:
    """A `CleanTable` without its rows; those lie in `parquet`."""

    name: str
    key: tuple[str, ...]
    members: tuple[str, ...]
    columns: int
    rows_in: int
    rows: int
    quarantined: int
    widened: Types
    warnings: tuple[str, ...]
    parquet: ParquetFile
    quarantine: ParquetFile | None

    @property
    def report(self) -> Mapping[str, object]:
        """The table's line in the folder's report."""
        return {
            "table": self.name,
            "files": list(self.members),
            "rows_in": self.rows_in,
            "rows_out": self.rows,
            "quarantined": self.quarantined,
            "columns": self.columns,
            "widened": dict(self.widened),
            "bytes": self.parquet.bytes,
            "sha256": self.parquet.sha256,
        }


def write_table(
    table: CleanTable | PartedTable, folder: Path, about: Mapping[str, object]
) -> WrittenTable:
    """Write `{table}.parquet` and, if a record was kept out, `{table}.quarantine.parquet`.

    Raises:
        RowsUnaccounted: rows in are not rows out plus rows quarantined.
    """
    about = {**about, "table": table.name, "key": list(table.key)}
    if not isinstance(table, CleanTable):
        return _write_parts(table, folder, about)
    quarantine = None
    if table.quarantine.height:
        quarantine = write_parquet(
            table.quarantine,
            folder / f"{table.name}.quarantine.parquet",
            descriptions=_QUARANTINE_DESCRIPTIONS,
            about=about,
        )
    parquet = write_parquet(
        table.frame,
        folder / f"{table.name}.parquet",
        descriptions=table.descriptions,
        about=about,
    )
    return WrittenTable(
        name=table.name,
        key=table.key,
        members=table.members,
        columns=table.frame.width,
        rows_in=table.rows_in,
        rows=table.frame.height,
        quarantined=table.quarantined,
        widened=table.widened,
        warnings=table.warnings,
        parquet=parquet,
        quarantine=quarantine,
    )


def _write_parts(table: PartedTable, folder: Path, about: Mapping[str, object]) -> WrittenTable:
    rows = ParquetParts(folder / f"{table.name}.parquet", about)
    quarantine = ParquetParts(folder / f"{table.name}.quarantine.parquet", about)
    rows_in, columns = 0, 0
    for part in table.parts():
        rows_in, columns = rows_in + part.rows_in, part.frame.width
        rows.add(part.frame, part.json_columns)
        if part.quarantine.height:
            quarantine.add(part.quarantine)
    if rows_in != rows.rows + quarantine.rows:
        raise RowsUnaccounted(
            f"{table.name}: {rows_in} rows in, {rows.rows} out and {quarantine.rows} quarantined, "
            f"from {', '.join(table.members)}"
        )
    return WrittenTable(
        name=table.name,
        key=table.key,
        members=table.members,
        columns=columns,
        rows_in=rows_in,
        rows=rows.rows,
        quarantined=quarantine.rows,
        widened={},
        warnings=table.warnings,
        parquet=rows.close(),
        quarantine=quarantine.close() if quarantine.rows else None,
    )
