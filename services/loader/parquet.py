"""One Parquet file as the loader sees it: which columns, which types, rows in batches."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from contracts.fingerprint import schema_fingerprint
from services.loader.columns import postgres_type
from services.loader.sql import short_name
from shared.errors import RowsUnaccounted, SchemaMismatch

Result = TypeVar("Result")
# Added by the loader itself; a file that brings them would forge its own lineage.
RESERVED = frozenset({"load_id", "load_update_ts"})
# Where a row came from; it changes with every load and is no change of the row.
LINEAGE = frozenset({*RESERVED, "filename", "row_number"})
# A PostgreSQL table has at most 1,600 columns.
_MAX_COLUMNS = 1_600 - len(RESERVED)
_PERIOD = "period_end"
_SHOWN = 5
# Opening 200 columns for a batch takes as long as reading 1,000 rows of them.
_BATCH_CELLS = 2**20
_BATCH_ROWS = (512, 65_536)
_BATCH_BYTES = 2**24
_PIECE_CELLS = 2**19
_READ_BUFFER_BYTES = 64 * 1024
_RAW_BYTES = 2**20
_READERS = ThreadPoolExecutor(thread_name_prefix="parquet")


@dataclass(frozen=True)
class FileColumn:
    """A column of the file: its name in the table, PostgreSQL type and description."""

    source: str
    name: str
    type: str
    empty: bool
    description: str | None


@dataclass(frozen=True)
class Piece:
    """Consecutive row groups, few if they are large; `parts` numbers what they are read in.

    A file that only grew at its end has the same pieces, but for the last.
    """

    groups: range
    parts: range
    first_row: int


@dataclass(frozen=True)
class Part:
    """Consecutive rows of the file; `first_row` counts from 0."""

    first_row: int
    batch: pa.RecordBatch


class FileClosed(Exception):
    """Nobody waits any more for what is being read."""


class ParquetRows:
    """The rows of one file; opening it checks that it is what the message declares."""

    def __init__(self, path: Path, label: str) -> None:
        """Open the file; nothing but its footer is read. `label` names it in messages.

        Raises:
            SchemaMismatch: not Parquet.
        """
        self._label = label
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BUFFER_BYTES)
        except pa.ArrowInvalid as error:
            raise SchemaMismatch(f"{label} is not a Parquet file: {error}") from error
        self._path = path
        self._closed = False
        self._under_way: list[Future[Any]] = []
        self._begun: Future[tuple[list[pa.RecordBatch], Iterator[pa.RecordBatch]]] | None = None
        self.schema: pa.Schema = self._file.schema_arrow
        self.metadata: pq.FileMetaData = self._file.metadata
        self.rows: int = self.metadata.num_rows

    @cached_property
    def columns(self) -> tuple[FileColumn, ...]:
        """The file's columns in order.

        Raises:
            SchemaMismatch: too many, names that clash, or a type that PostgreSQL has no column for.
        """
        if len(self.schema) > _MAX_COLUMNS:
            raise SchemaMismatch(
                f"{self._label} has {len(self.schema)} columns; a table takes {_MAX_COLUMNS}"
            )
        if clash := RESERVED.intersection(self.schema.names):
            raise SchemaMismatch(f"{self._label} brings {sorted(clash)}, which the loader writes")
        empty = self._empty_columns()
        columns = tuple(
            FileColumn(
                source=field.name,
                name=short_name(field.name),
                type=postgres_type(field.type),
                empty=field.name in empty or pa.types.is_null(field.type),
                description=_description(field),
            )
            for field in self.schema
        )
        counted = Counter(column.name for column in columns)
        if twice := sorted(name for name, times in counted.items() if times > 1):
            raise SchemaMismatch(f"{self._label} has more than one column called {twice}")
        return columns

    def require(self, *, rows: int, fingerprint: str) -> None:
        """Check that the file is what was declared.

        Raises:
            RowsUnaccounted: another number of rows.
            SchemaMismatch: other columns or types, which the message lists; or see `columns`.
        """
        if self.rows != rows:
            raise RowsUnaccounted(
                f"{self._label} has {self.rows} rows, its message declares {rows}"
            )
        types = zip(self.columns, self.schema.types, strict=True)
        found = [(column.source, str(kind)) for column, kind in types]
        if schema_fingerprint(found) != fingerprint:
            shown = ", ".join(f"{name} {kind}" for name, kind in found)
            raise SchemaMismatch(
                f"{self._label} does not have the columns its message declares (fingerprint "
                f"{fingerprint[:12]}…); it has: {shown}"
            )

    def require_period(self, period_end: date | None) -> None:
        """Check that every row is of the declared period.

        Raises:
            RowsUnaccounted: a row is not; the message names it, counted from 1 in the file.
        """
        done = 0
        for batch in self.batches([_PERIOD]):
            of_period = pc.fill_null(
                pc.equal(batch.column(0), pa.scalar(period_end)), fill_value=False
            )
            stray = pc.index(of_period, value=False).as_py()
            if stray >= 0:
                raise RowsUnaccounted(
                    f"{self._label}: row {done + stray + 1} is of another period than {period_end}"
                )
            done += batch.num_rows

    def repeated(self, key: Sequence[str]) -> str:
        """Name rows that share a key, counted from 1 in the file; empty when there are none."""
        sources = [column.source for column in self.columns if column.name in key]
        keys = self._file.read(columns=sources, use_threads=False)
        numbered = keys.append_column("row", pa.array(range(1, len(keys) + 1)))
        counted = numbered.group_by(sources).aggregate([("row", "list"), ("row", "count")])
        shared = counted.filter(pc.greater(counted["row_count"], 1)).slice(0, _SHOWN).to_pylist()
        return "; ".join(
            f"{', '.join(f'{name} {group[name]}' for name in sources)} in rows"
            f" {', '.join(str(row) for row in sorted(group['row_list'])[:_SHOWN])}"
            for group in shared
        )

    def ahead(self, work: Callable[[], Result]) -> Future[Result]:
        """Begin, in a thread, what needs the file, which stays open until that is done."""
        self._under_way.append(future := _READERS.submit(work))
        return future

    def read_ahead(self) -> None:
        """Begin, in a thread, to read the first batch of all columns, for `batches()` to go on.

        Opening a chunk per column takes the most of a small file's time.
        """
        self._begun = self.ahead(self._begin)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, columns in the order of the file, some 8 megabytes at a time."""
        if self._begun is None:
            yield from self._read(columns)
            return
        # Waited for in any case: a file is not read by two threads.
        first, rest = self._begun.result()
        if columns in (None, self.schema.names):
            self._begun = None
            yield from first
            yield from rest
        else:
            yield from self._read(columns)

    def pieces(self) -> list[Piece]:
        """Divide the file by its row groups; none of them is read."""
        metadata, height = self.metadata, self._part_rows
        found: list[Piece] = []
        group = row = part = rows = 0
        for number in range(metadata.num_row_groups):
            rows += metadata.row_group(number).num_rows
            if rows * len(self.schema) >= _PIECE_CELLS or number + 1 == metadata.num_row_groups:
                parts = range(part, part + -(-rows // height))
                found.append(Piece(range(group, number + 1), parts, row))
                group, row, part, rows = number + 1, row + rows, parts.stop, 0
        return found

    def parts(self, piece: Piece, columns: Sequence[str] | None = None) -> Iterator[Part]:
        """Yield a piece's rows in order, in parts of one height but for the last."""
        row, held = piece.first_row, 0
        begun: list[pa.RecordBatch] = []
        for batch in self._read(columns, piece.groups):
            start = 0
            while start < batch.num_rows:
                begun.append(batch.slice(start, self._part_rows - held))
                start += begun[-1].num_rows
                held += begun[-1].num_rows
                if held == self._part_rows:
                    yield Part(row, _one_batch(begun))
                    row, held, begun = row + held, 0, []
        if begun:
            yield Part(row, _one_batch(begun))

    def raw(self, extent: range) -> Iterator[bytes]:
        """Yield these bytes of the file, a megabyte at a time."""
        with self._path.open("rb") as file:
            file.seek(extent.start)
            for start in range(extent.start, extent.stop, _RAW_BYTES):
                self._require_open()
                yield file.read(min(_RAW_BYTES, extent.stop - start))

    @property
    def data_end(self) -> int:
        """Where the file's own metadata begins, which four bytes of length and a name follow."""
        return self._path.stat().st_size - 8 - int(self.metadata.serialized_size)

    def close(self) -> None:
        """Let go of the file as soon as what was begun `ahead` has noticed or has ended."""
        self._closed = True
        _READERS.submit(self._close)

    def _close(self) -> None:
        wait(self._under_way)
        self._file.close()

    def _require_open(self) -> None:
        if self._closed:
            raise FileClosed(self._label)

    def _begin(self) -> tuple[list[pa.RecordBatch], Iterator[pa.RecordBatch]]:
        batches = self._read(None)
        return list(islice(batches, 1)), batches

    def _read(
        self, columns: Sequence[str] | None, groups: range | None = None
    ) -> Iterator[pa.RecordBatch]:
        metadata = self.metadata
        for number in range(metadata.num_row_groups) if groups is None else groups:
            self._require_open()
            group = metadata.row_group(number)
            height = self._height(group.total_byte_size / max(1, group.num_rows))
            if group.num_rows <= height:
                # Takes less time than the same in one batch.
                yield from self._file.read_row_group(number, columns=columns).to_batches()
            else:
                yield from self._file.iter_batches(height, row_groups=[number], columns=columns)

    def _height(self, row_bytes: float) -> int:
        """Rows of a batch of some `_BATCH_CELLS`, or of fewer, for no more than `_BATCH_BYTES`."""
        few, many = _BATCH_ROWS
        by_cells = max(few, min(many, _BATCH_CELLS // max(1, len(self.schema))))
        by_bytes = max(1, int(_BATCH_BYTES / max(1, row_bytes)))
        return min(by_cells, by_bytes)

    @cached_property
    def _part_rows(self) -> int:
        metadata = self.metadata
        groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
        file_bytes = sum(group.total_byte_size for group in groups)
        return self._height(file_bytes / max(1, self.rows))

    def _empty_columns(self) -> set[str]:
        """Names of columns that the footer's statistics prove to hold nothing but null."""
        metadata = self.metadata
        unproved = [*range(metadata.num_columns)]
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            unproved = [position for position in unproved if _all_null(group.column(position))]
        # Lists and structs have longer paths, and an empty list is not null.
        paths = {metadata.schema.column(position).path for position in unproved}
        return paths.intersection(self.schema.names)


def _one_batch(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _all_null(chunk: pq.ColumnChunkMetaData) -> bool:
    if not chunk.is_stats_set:
        return False
    statistics = chunk.statistics
    return bool(statistics.has_null_count and statistics.null_count == chunk.num_values)


def _description(field: pa.Field) -> str | None:
    text = (field.metadata or {}).get(b"description")
    return text.decode() if text else None
