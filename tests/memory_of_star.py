"""Memory of a first run of ToteSys: `python -m tests.memory_of_star collect|process MILLIONS`.

One stage a process, so that the peak is that stage's. Not a test: ten million rows take minutes.
"""

import asyncio
import hashlib
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from contracts import Envelope, LoadTable, Packet
from contracts.packet_record import PacketRecord, Watermark
from ops.stack import postgres
from services.processor.process_packets import process_packets
from tests.fakes import FakeLake
from tests.fixtures import server_folder
from tests.packets import Polled
from tests.star_packets import COLLECTED, DIMENSIONS, event, row

# Shares of a ToteSys that has grown; the other tables stay small.
_SHARES = {"sales_order": 0.4, "payment": 0.3, "transaction": 0.3}
_ROWS_AT_ONCE = 50_000
_ORDERS = """CREATE TABLE sales_order AS SELECT i AS sales_order_id, now()::timestamp AS created_at,
    now()::timestamp AS last_updated, 1 AS design_id, 1 AS staff_id, 1 AS counterparty_id,
    10 AS units_sold, 3.94 AS unit_price, 1 AS currency_id, '2022-11-07' AS agreed_delivery_date,
    '2022-11-08' AS agreed_payment_date, 1 AS agreed_delivery_location_id
    FROM generate_series(1, {rows}) AS i"""


@dataclass
class FolderLake(FakeLake):
    """A lake whose large files lie in a folder; what is small is kept as `FakeLake` does."""

    folder: Path = Path()

    async def upload(self, path: Path, key: str) -> None:
        shutil.copy(path, self.path_of(key))

    async def download(self, key: str, path: Path) -> None:
        await asyncio.to_thread(path.symlink_to, self.path_of(key))

    async def exists(self, key: str) -> bool:
        return self.path_of(key).exists() or await super().exists(key)

    def path_of(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode()).hexdigest()


async def collect(millions: float, lake: FolderLake) -> None:
    """Poll a table of so many rows for the first time."""
    with server_folder() as made:
        server = postgres.start(made / "data", settings={"fsync": "off"})
        try:
            connection = await asyncpg.connect(server.url)
            await connection.execute(_ORDERS.format(rows=int(millions * 1e6)))
            await connection.close()
            await Polled(server.url, ("sales_order",), lake=lake).gather("first")
        finally:
            postgres.stop(server)


async def process(millions: float, lake: FolderLake) -> None:
    """Turn so many rows, in one packet a table, into a star."""
    counts = dict.fromkeys(DIMENSIONS, 1) | {
        table: int(millions * 1e6 * share) for table, share in _SHARES.items()
    }
    packets = [await put_rows(lake, table, count) for table, count in counts.items()]

    async def send(loads: Sequence[Envelope[LoadTable]]) -> None:
        sys.stdout.write(f"{sum(load.payload.rows for load in loads)} rows to load\n")

    await process_packets(event(*packets), lake=lake, send=send, now=lambda: datetime.now(UTC))


async def put_rows(lake: FolderLake, table: str, count: int) -> Packet:
    """Store a packet of rows that differ by their key alone, and its record."""
    before, key, after = row(table, 1).partition(f'"{table}_id": 1')
    record_key = f"raw/totesys/{table}_1.jsonl"
    digest = hashlib.sha256()
    with lake.path_of(record_key).open("wb") as file:
        for start in range(0, count, _ROWS_AT_ONCE):
            numbers = range(start + 1, min(count, start + _ROWS_AT_ONCE) + 1)
            lines = (f"{before}{key[:-1]}{number}{after}\n" for number in numbers)
            data = "".join(lines).encode()
            digest.update(data)
            file.write(data)
        size = file.tell()
    record = PacketRecord(
        dataset="totesys",
        packet=Packet(table=table, id=1),
        run_id="first",
        key=record_key,
        bytes=size,
        sha256=digest.hexdigest(),
        rows=count,
        collected_at=COLLECTED,
        manifest_key="manifest",
        watermark=Watermark(database_oid=1, oldest_running=10),
    )
    await lake.put(record.record_key, record.model_dump_json().encode())
    return record.packet


def main() -> None:
    """Run one stage and print what it took."""
    stage, millions = sys.argv[1], float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        lake = FolderLake(folder=Path(folder))
        asyncio.run({"collect": collect, "process": process}[stage](millions, lake))
        seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{stage} {millions:g} million rows: peak {peak:.0f} MB, {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
