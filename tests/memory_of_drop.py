"""One stage of a large drop in a process of its own: prints how many bytes more it needed.

`python -m tests.memory_of_drop check|clean|load FOLDER [DATABASE_URL]`; the folder has a file
`hired_employees.csv`, after `clean` also its Parquet.
"""

import asyncio
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from contracts import LoadTable, S3Object
from contracts.column_types import DeclaredTypes
from contracts.datasets.hires import DATASET
from contracts.drop_table import DropSource, DropTable
from contracts.fingerprint import schema_fingerprint
from services.collector.delimited import shape_of
from services.loader import ledger
from services.loader.exactly_once import load_parquet
from services.loader.table_lock import Limits
from services.processor.clean_table import Opening
from services.processor.column_types import KnownTypes
from services.processor.delimited_folder import open_delimited
from services.processor.written_table import write_table
from tests.dropped_files import listed
from tests.loads import PROVENANCE

NAME = "hired_employees.csv"
_DIGEST = "0" * 64


def table() -> DropTable:
    """Return what the file is for."""
    assert isinstance(DATASET.source, DropSource)
    (found,) = DATASET.source.takers(NAME)
    return found


def check(folder: Path) -> None:
    """Do what the collector does."""
    shape_of(folder / NAME, table())


def clean(folder: Path) -> None:
    """Do what the processor does."""
    file = listed(folder / NAME, table(), NAME)
    opened = open_delimited(Opening(DATASET, None, {NAME: folder / NAME}, {NAME: file}))
    known = KnownTypes(DeclaredTypes(), {})
    write_table(opened.clean("hired_employees", known), folder, {"dataset": "hires"})


async def load(folder: Path, url: str) -> None:
    """Do what the loader does."""
    path = folder / "hired_employees.parquet"
    parquet = pq.ParquetFile(path)
    fields = [(field.name, str(field.type)) for field in parquet.schema_arrow]
    declaration = LoadTable(
        dataset="hires",
        load_id=uuid4(),
        table_schema="hires",
        table="hired_employees",
        mode="append",
        object=S3Object(
            bucket="lake", key=f"clean/{NAME}", bytes=path.stat().st_size, sha256=_DIGEST
        ),
        rows=parquet.metadata.num_rows,
        schema_fingerprint=schema_fingerprint(fields),
        content_digest=_DIGEST,
        manifest_key="raw/_manifest.json",
        as_of=datetime(2026, 11, 21, tzinfo=UTC),
    )
    parquet.close()
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await ledger.prepare(connection)
        await load_parquet(connection, path, declaration, PROVENANCE, Limits())
    finally:
        await connection.close()


def main() -> None:
    """Run one stage."""
    stage, folder, *url = sys.argv[1:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if stage == "load":
        asyncio.run(load(Path(folder), url[0]))
    else:
        {"check": check, "clean": clean}[stage](Path(folder))
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
