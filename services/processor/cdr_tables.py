"""Joining the parts of a schedule into one table, a bank at a time or not at all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

import polars as pl

from services.processor.cdr_cells import ROW
from services.processor.cdr_parse import KEY
from services.processor.cdr_part import CONFIDENTIAL, Part, misfit
from services.processor.clean_table import CleanTable
from services.processor.quarantine import Misfit, misfit_frame
from shared.errors import RowsUnaccounted, SchemaMismatch

TABLE_KEY = (KEY, "period_end")
_FILE = "filename"
_NAMED_BANKS = 5


def join_parts(table: str, parts: Sequence[Part], period_end: date) -> CleanTable:
    """Return one row per bank; a bank that is not in every part has nulls for the others.

    A bank with a misfit in one part is quarantined whole, so that no half of a row is loaded. Its
    records in the other parts carry the rule `sibling_quarantined`.

    Raises:
        RowsUnaccounted: a record is neither in the result nor in quarantine.
        SchemaMismatch: two parts hold the same code.
    """
    _refuse_shared_codes(table, parts)
    for part in parts:
        if part.frame.height + len(part.misfits) != len(part.source.records):
            raise RowsUnaccounted(
                f"{part.source.member.name!r} has {len(part.source.records)} records, "
                f"{part.frame.height} were read and {len(part.misfits)} did not fit"
            )
    whole = _without_halves(parts) if len(parts) > 1 else parts
    misfits = [misfit for part in whole for misfit in part.misfits]
    return CleanTable(
        name=table,
        key=TABLE_KEY,
        frame=_joined(whole, period_end),
        members=tuple(part.source.member.name for part in parts),
        rows_in=_rows(part.frame[KEY].append(_banks_of(part.misfits)) for part in parts),
        quarantine=misfit_frame(misfits),
        quarantined=_rows(_banks_of(part.misfits) for part in whole),
        descriptions={column.name: column.description for part in parts for column in part.columns},
        widened={code: kind for part in parts for code, kind in part.widened.items()},
        warnings=tuple(_warnings(table, whole)),
    )


def _refuse_shared_codes(table: str, parts: Sequence[Part]) -> None:
    seen: set[str] = set()
    for part in parts:
        shared = seen & {column.name for column in part.columns}
        if shared:
            raise SchemaMismatch(f"{table}: several parts hold {', '.join(sorted(shared))}")
        seen |= {column.name for column in part.columns}


def _without_halves(parts: Sequence[Part]) -> list[Part]:
    """Quarantine a bank's records in every part as soon as one of them does not fit.

    A misfit whose bank is not known may belong to any bank that its part lacks.
    """
    lost = {m.idrssd for part in parts for m in part.misfits if m.idrssd is not None}
    everyone = {idrssd for part in parts for idrssd in part.frame[KEY]} - lost
    for part in parts:
        if any(m.idrssd is None for m in part.misfits):
            lost |= everyone - set(part.frame[KEY])
    return [_without_banks(part, lost) for part in parts] if lost else list(parts)


def _without_banks(part: Part, lost: set[int]) -> Part:
    is_lost = pl.col(KEY).is_in(sorted(lost))
    reason = "another part of this bank's row does not fit"
    siblings: list[Misfit] = [
        misfit(part.source, row, idrssd, "sibling_quarantined", reason)
        for row, idrssd in part.frame.filter(is_lost).select(ROW, KEY).iter_rows()
    ]
    return replace(part, frame=part.frame.filter(~is_lost), misfits=(*part.misfits, *siblings))


def _rows(banks_by_part: Iterable[pl.Series]) -> int:
    """Count table rows: a bank's records in several parts are one, unknown banks one each."""
    named, nameless = [], 0
    for banks in banks_by_part:
        named.append(banks.drop_nulls().alias(KEY).to_frame().group_by(KEY).len())
        nameless += banks.null_count()
    most = pl.concat(named).group_by(KEY).agg(pl.col("len").max())
    return int(most["len"].sum()) + nameless


def _banks_of(misfits: Iterable[Misfit]) -> pl.Series:
    return pl.Series(KEY, [misfit.idrssd for misfit in misfits], dtype=pl.Int64)


def _joined(parts: Sequence[Part], period_end: date) -> pl.DataFrame:
    """Put the parts side by side; `filename` and `row_number` tell where a bank is found first."""
    table = _labelled(parts[0])
    for part in parts[1:]:
        table = _beside(table, _labelled(part))
    last = [name for name in (CONFIDENTIAL, _FILE, ROW) if name in table.columns]
    return table.select(KEY, pl.lit(period_end).alias("period_end"), pl.exclude(KEY, *last), *last)


def _beside(table: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
    audit = {name: f"{name} of part" for name in (_FILE, ROW, CONFIDENTIAL)}
    part = part.rename(audit)
    if table[KEY].equals(part[KEY]):
        # Nearly always; nothing has to be moved.
        table = table.hstack(part.drop(KEY))
    else:
        table = table.join(part, on=KEY, how="full", coalesce=True).sort(KEY)
    return table.with_columns(
        *(pl.coalesce(name, audit[name]) for name in (_FILE, ROW)),
        _both_lists(CONFIDENTIAL, audit[CONFIDENTIAL]),
    ).drop(audit.values())


def _labelled(part: Part) -> pl.DataFrame:
    return part.frame.with_columns(pl.lit(part.source.member.name).alias(_FILE))


def _both_lists(left: str, right: str) -> pl.Expr:
    nothing = pl.lit([], dtype=pl.List(pl.String))
    both = pl.concat_list(pl.col(left).fill_null(nothing), pl.col(right).fill_null(nothing))
    return pl.when(both.list.len() > 0).then(both).alias(left)


def _warnings(table: str, parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        name = part.source.member.name
        if part.source.encoding != "ascii":
            yield f"{name}: not ASCII, read as {part.source.encoding}"
        if part.repaired:
            yield f"{name}: {part.repaired} records had tabs inside their text, which were kept"
        for code, kind in part.widened.items():
            yield f"{name}: {code.lower()} became {kind}"
    banks = [set(part.frame[KEY]) for part in parts]
    partial = sorted(set.union(*banks) - set.intersection(*banks))
    if partial:
        some = ", ".join(str(idrssd) for idrssd in partial[:_NAMED_BANKS])
        more = ", …" if len(partial) > _NAMED_BANKS else ""
        yield f"{table}: {len(partial)} banks are not in every part (IDRSSD {some}{more}); kept"
