"""The pages about rows: those kept out, and where one came from."""

import asyncio
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ops.lineage import explain, facts_of, version_text
from shared.errors import QuarryError

if TYPE_CHECKING:
    from ops.console.app import Console

_FOLDER = "_quarantine/"
_SHOWN_ROWS = 200


@dataclass(frozen=True)
class KeptOut:
    """One quarantine object of the lake, named by what its key says."""

    key: str

    @property
    def parts(self) -> list[str]:
        """Dataset, period, run and table."""
        dataset, period, run_id, _, name = self.key.split("/")[1:6]
        return [dataset, period, run_id, name.removesuffix(".parquet")]


async def quarantine(request: Request) -> HTMLResponse:
    """List quarantine objects; with `key`, show the records of one."""
    console: Console = request.app.state.console
    keys = [key for key in await console.access.lake.keys("clean/") if f"/{_FOLDER}" in key]
    wanted = request.query_params.get("key")
    columns: list[str] = []
    records: list[tuple[Any, ...]] = []
    if wanted in keys:
        data = await console.access.lake.get(wanted)
        frame = await asyncio.to_thread(pl.read_parquet, io.BytesIO(data))
        columns, records = frame.columns, frame.head(_SHOWN_ROWS).rows()
    return console.page.answer(
        "quarantine.html",
        here="quarantine",
        objects=[KeptOut(key) for key in sorted(keys, reverse=True)],
        wanted=wanted,
        columns=columns,
        records=records,
    )


async def row(request: Request) -> HTMLResponse:
    """Follow a row back to its source."""
    console: Console = request.app.state.console
    table = request.query_params.get("table", "").strip()
    key = request.query_params.get("key", "").split()
    found, problem = None, None
    if table:
        try:
            database = await console.access.database_holding(table)
            found = await explain(database, console.access.lake, table, key)
        except (QuarryError, ValueError) as error:
            problem = str(error)
    return console.page.answer(
        "row.html",
        here="row",
        table=table,
        key=" ".join(key),
        found=found,
        facts=facts_of(found) if found else [],
        versions=[(one, version_text(one)) for one in found.versions] if found else [],
        problem=problem,
    )
