"""The processor's use case: from a complete folder of raw files to typed tables, ready to load."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from contracts import Dataset, Envelope, FolderComplete, LoadTable, clean_prefix
from contracts.column_types import declared_types
from contracts.datasets import UnknownDataset, dataset_named
from services.processor.cdr_folder import open_call_reports
from services.processor.clean_table import CleanTable, OpenFolder, Opening, PartedTable
from services.processor.column_types import KnownTypes, merge
from services.processor.csv_copy import write_csv
from services.processor.delimited_folder import open_delimited
from services.processor.download import FetchedFile, ReadableLake, fetch_folder
from services.processor.item_folder import open_items
from services.processor.load_order import order_load
from services.processor.type_registry import (
    VersionedStore,
    agree,
    learnt_types,
    pin,
    registry_key,
)
from services.processor.written_table import WrittenTable, write_table
from shared.consumer import Done
from shared.errors import InvalidRequest
from shared.leftovers import folder_prefix
from shared.log import log
from shared.together import together

REPORT_NAME = "_report.json"
TYPES_NAME = "_types.json"

SendLoads = Callable[[Sequence[Envelope[LoadTable]]], Awaitable[None]]
OpenFormat = Callable[[Opening], OpenFolder]
Params = ParamSpec("Params")
Result = TypeVar("Result")

FORMATS: Mapping[str, OpenFormat] = {
    "cdr_bulk": open_call_reports,
    "delimited_text": open_delimited,
    "dynamodb_items": open_items,
}


class Lake(ReadableLake, VersionedStore, Protocol):
    """The lake as the processor uses it."""

    bucket: str

    async def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        ...

    async def upload(self, path: Path, key: str) -> None:
        """Write a file's bytes as an object."""
        ...


async def process(
    envelope: Envelope[FolderComplete],
    *,
    lake: Lake,
    send: SendLoads,
    now: Callable[[], datetime],
    threads: int,
) -> Done:
    """Clean every table of a folder and order its load as soon as it is in the lake.

    Safe to repeat: keys, bytes and load ids depend on the run and its files alone, since the
    first attempt pins the column types it begins with.

    Raises:
        InvalidRequest: no such dataset, or no period for a dataset that comes by quarter.
        ManifestMismatch: a file is not what the manifest says.
        UnexpectedMember, SchemaMismatch: the files are not those of the dataset's format.
        RowsUnaccounted: a row would have been lost.
    """
    event = envelope.payload
    dataset = _asked_for(event)
    # Entered in this order so that the threads have ended before the files they use go.
    with (
        tempfile.TemporaryDirectory(prefix=folder_prefix("processor")) as scratch,
        ThreadPoolExecutor(threads, "cleaner") as pool,
    ):
        files = await fetch_folder(event, lake, Path(scratch))
        work = _Work(envelope, dataset, files, Path(scratch), pool, lake, send, now)
        opening = Opening(
            dataset,
            event.period,
            {file.listed.name: file.path for file in files},
            {file.listed.name: file.listed for file in files},
        )
        folder = await work.in_thread(FORMATS[dataset.format], opening)
        types = await work.settle_types(folder)
        tables = await together(work.finish(folder.clean, table, types) for table in folder.tables)
        learnt = merge(types.learnt, *(table.widened for table in tables))
        if folder.has_dictionary:
            tables.append(await work.finish(folder.dictionary, KnownTypes(types.declared, learnt)))
    warnings = (*event.warnings, *folder.warnings, *(w for t in tables for w in t.warnings))
    await work.report(tables, warnings)
    return Done(
        counts={
            "files": len(files),
            "bytes": sum(file.listed.bytes for file in files),
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "quarantined": sum(table.quarantined for table in tables),
        },
        expects=tuple(work.order(table).part for table in tables),
        warnings=warnings,
    )


def _asked_for(event: FolderComplete) -> Dataset:
    try:
        dataset = dataset_named(event.dataset)
    except UnknownDataset as error:
        raise InvalidRequest(str(error)) from error
    if dataset.first_period is not None and event.period is None:
        raise InvalidRequest(f"{dataset.name} comes by quarter, but FolderComplete names none")
    return dataset


@dataclass(frozen=True)
class _Work:
    """One folder being processed, with everything its steps share."""

    envelope: Envelope[FolderComplete]
    dataset: Dataset
    files: Sequence[FetchedFile]
    scratch: Path
    pool: ThreadPoolExecutor
    lake: Lake
    send: SendLoads
    now: Callable[[], datetime]

    @property
    def prefix(self) -> str:
        return clean_prefix(self.dataset.name, self.envelope.payload.part, self.envelope.run_id)

    async def in_thread(
        self, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        """Run blocking work in one of the few cleaning threads."""
        return await asyncio.wrap_future(self.pool.submit(work, *args, **kwargs))

    async def settle_types(self, folder: OpenFolder) -> KnownTypes:
        """Look every column's type up; agree with other processors on those never seen before."""
        declared = declared_types(self.dataset.name)
        registry = registry_key(self.dataset.name)
        pinned = await learnt_types(self.lake, self.prefix + TYPES_NAME)
        if pinned is None:
            learnt = await learnt_types(self.lake, registry) or {}
            known = KnownTypes(declared, learnt)
            new = frozenset(code for code in folder.codes if known.get(code) == "unknown")
            if new:
                found = await self.in_thread(folder.infer, new)
                learnt = await agree(self.lake, registry, found)
                log.info("types_learnt", codes=len(new), part=self.envelope.payload.part)
            ours = {code: learnt[code] for code in folder.codes if code in learnt}
            pinned = await pin(self.lake, self.prefix + TYPES_NAME, ours)
        return KnownTypes(declared, pinned)

    async def finish(
        self,
        clean: Callable[Params, CleanTable | PartedTable],
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> WrittenTable:
        """Clean one table, bring it into the lake and order its load."""
        about = {"dataset": self.dataset.name, "part": self.envelope.payload.part}

        def clean_and_write() -> WrittenTable:
            return write_table(clean(*args, **kwargs), self.scratch, about)

        table = await self.in_thread(clean_and_write)
        if table.widened:
            await agree(self.lake, registry_key(self.dataset.name), table.widened)
        await self.lake.upload(table.parquet.path, self.key_of(table))
        if table.quarantine:
            key = f"{self.prefix}_quarantine/{table.name}.parquet"
            await self.lake.upload(table.quarantine.path, key)
        if self.envelope.payload.save_csv:
            path = self.scratch / f"{table.name}.csv"
            await self.in_thread(write_csv, table.parquet.path, path)
            await self.lake.upload(path, f"{self.prefix}{table.name}.csv")
        load = self.order(table)
        origin = self.envelope
        await self.send(
            [
                Envelope[LoadTable].wrap(
                    load, run_id=origin.run_id, trace=origin.trace, sent_at=self.now()
                )
            ]
        )
        log.info("table_cleaned", part=load.part, rows=table.rows, quarantined=table.quarantined)
        return table

    def key_of(self, table: WrittenTable) -> str:
        """Return where a table's Parquet lies; the same for every attempt of a run."""
        return f"{self.prefix}{table.name}.parquet"

    def order(self, table: WrittenTable) -> LoadTable:
        """Return the load of a table."""
        sources = [file.listed for file in self.files if file.listed.name in table.members]
        return order_load(
            self.envelope,
            self.dataset,
            table,
            files=sources,
            bucket=self.lake.bucket,
            key=self.key_of(table),
        )

    async def report(self, tables: Sequence[WrittenTable], warnings: Sequence[str]) -> None:
        """Write down what became of the folder, beside its tables."""
        document = {
            "run_id": self.envelope.run_id,
            "dataset": self.dataset.name,
            "part": self.envelope.payload.part,
            "tables": [table.report for table in tables],
            "warnings": list(warnings),
        }
        await self.lake.put(self.prefix + REPORT_NAME, json.dumps(document, indent=1).encode())
