"""From records to text cells: a record with a wrong number of fields is set aside, not bent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from services.processor.cdr_parse import KEY, SourceText, unused_characters
from services.processor.quarantine import Misfit

ROW = "row_number"
# Takes up the nothing between a record's last tab and its end.
_END = "\t"
_IDRSSD = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class Cells:
    """The records that have the right number of fields.

    `frame` has the columns `row_number`, `idrssd` and those of the header as written, in file
    order; all but the first are text, null where empty. `row_number` is the record's place in
    the file, from 1.
    `repaired` counts records whose surplus tabs were kept as part of a text.
    """

    source: SourceText
    frame: pl.DataFrame
    misfits: tuple[Misfit, ...]
    repaired: int
    stand_ins: Mapping[str, str]


def split_cells(source: SourceText, text_column: str | None = None) -> Cells:
    """Split the records into fields.

    `text_column` names the only text column: surplus tabs in a record can then only belong to
    its text, and are kept there.
    """
    tabs, end = _shape(source)
    wrong = {
        row
        for row, record in enumerate(source.records, 1)
        if record.count(b"\t") != tabs or not record.endswith(end)
    }
    with_nul = {row for row, record in enumerate(source.records, 1) if b"\x00" in record}
    stand_ins, repaired = dict(source.stand_ins), dict[int, bytes]()
    if wrong and text_column is not None:
        tab = unused_characters(b"".join(source.records), 1)[0]
        stand_ins[tab.decode("ascii")] = "\t"
        repaired = _with_tabs_in_text(source, wrong - with_nul, text_column, tab)
    left_out = (wrong - repaired.keys()) | with_nul
    rows = [row for row in range(1, len(source.records) + 1) if row not in left_out]
    records = [repaired.get(row) or source.records[row - 1] for row in rows]
    misfits = tuple(_misfit(source, row, with_nul) for row in sorted(left_out))
    return Cells(source, _read(source, records, rows), misfits, len(repaired), stand_ins)


def _shape(source: SourceText) -> tuple[int, bytes]:
    """Return how many tabs a record has, and what it ends in."""
    header = source.header
    return len(header.columns) + header.trailing_tab, b"\t" if header.trailing_tab else b""


def _with_tabs_in_text(
    source: SourceText, rows: Iterable[int], text_column: str, tab: bytes
) -> dict[int, bytes]:
    start = source.header.columns.index(text_column) + 1
    tabs, end = _shape(source)
    repaired: dict[int, bytes] = {}
    for row in rows:
        fields = source.records[row - 1].split(b"\t")
        surplus = len(fields) - 1 - tabs
        stop = start + surplus + 1
        joined = b"\t".join([*fields[:start], tab.join(fields[start:stop]), *fields[stop:]])
        if surplus > 0 and joined.endswith(end):
            repaired[row] = joined
    return repaired


def _misfit(source: SourceText, row: int, with_nul: set[int]) -> Misfit:
    name, record = source.member.name, source.record(row)
    first, tab, _ = record.partition("\t")
    idrssd = int(first) if tab and _IDRSSD.fullmatch(first) else None
    if row in with_nul:
        reason = "a NUL character cannot be part of a text"
        return Misfit(name, row, idrssd, "nul_byte", None, reason, record)
    fields, expected = record.count("\t") + 1, 1 + len(source.header.columns)
    ends = ", the last one empty" if source.header.trailing_tab else ""
    reason = f"{fields} fields instead of {expected + source.header.trailing_tab}{ends}"
    return Misfit(name, row, idrssd, "field_count", None, reason, record)


def _read(source: SourceText, records: Sequence[bytes], rows: Sequence[int]) -> pl.DataFrame:
    names = [KEY, *source.header.columns, *([_END] if source.header.trailing_tab else [])]
    schema = dict.fromkeys(names, pl.String())
    if records:
        body = b"\n".join(records) + b"\n"
        frame = pl.read_csv(body, separator="\t", quote_char=None, has_header=False, schema=schema)
    else:
        frame = pl.DataFrame(schema=schema)
    numbers = pl.Series(ROW, rows, dtype=pl.Int64)
    return frame.drop(_END, strict=False).insert_column(0, numbers)
