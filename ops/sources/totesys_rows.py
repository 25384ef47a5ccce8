"""Rows for the ToteSys tables: the published ones where they are, else made up by seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from ops.sources.totesys_tables import TABLES, columns_of

Row = tuple[Any, ...]

_START = datetime(2022, 11, 3, 14, 20, 49)  # noqa: DTZ001  # the source's timestamps have no zone
_ORDERS = 400
_SMALL = {"address": 30, "counterparty": 20, "department": 8, "design": 40, "staff": 20}
_CODES = ("GBP", "USD", "EUR")
_PAYMENTS = ("SALES_RECEIPT", "SALES_REFUND", "PURCHASE_PAYMENT", "PURCHASE_REFUND")


def published_rows(folder: Path) -> dict[str, list[Row]]:
    """Read the published Parquet files; pandas made whole numbers and decimals of them floats."""
    return {table: list(_published(folder, table)) for table in TABLES}


def _published(folder: Path, table: str) -> Iterator[Row]:
    names = columns_of(table)
    for row in pl.read_parquet(folder / f"{table}.parquet", columns=list(names)).iter_rows(
        named=True
    ):
        yield tuple(_plain(name, row[name]) for name in names)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124  # NaN is pandas' null
            return None
        return int(value) if name.endswith("_id") else Decimal(str(value))
    return value


def made_up_rows(seed: int = 1, orders: int = _ORDERS) -> dict[str, list[Row]]:
    """Make rows of the same shape; half of the orders are sales, each has one payment."""
    maker = _Maker(Random(seed))  # noqa: S311  # made-up rows, not secrets
    maker.parties()
    for n in range(orders):
        maker.order(n)
    return maker.rows


@dataclass
class _Maker:
    random: Random
    rows: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in TABLES})

    def add(self, table: str, *values: Any) -> int:
        key = len(self.rows[table]) + 1
        moment = _START + timedelta(minutes=7 * key)
        self.rows[table].append((key, *values, moment, moment))
        return key

    def some(self, table: str) -> int:
        return self.random.randint(1, len(self.rows[table]))

    def parties(self) -> None:
        for n in range(_SMALL["address"]):
            second, district = (f"Flat {n}", None) if n % 2 else (None, f"District, {n}")
            place = ("Leeds", f"LS{n} 1AA", "UK", f"01 {n}")
            self.add("address", f"{n} High Street", second, district, *place)
        for n in range(_SMALL["counterparty"]):
            self.add("counterparty", f"O'Hara, {n}", self.some("address"), f"Buyer {n}", None)
        for code in _CODES:
            self.add("currency", code)
        for n in range(_SMALL["department"]):
            self.add("department", f"Department {n}", "Leeds" if n else None, f"Manager {n}")
        for n in range(_SMALL["design"]):
            self.add("design", f"Design {n}", "/usr", f"design-{n}.json")
        for n in range(_SMALL["staff"]):
            mail = f"s{n}@totes.example"
            self.add("staff", f"First {n}", f"Last {n}", self.some("department"), mail)
        for name in _PAYMENTS:
            self.add("payment_type", name)

    def order(self, n: int) -> None:
        price = Decimal(self.random.randint(200, 400)) / 100
        day = f"{_START + timedelta(days=self.random.randint(1, 300)):%Y-%m-%d}"
        amount = self.random.randint(1_000, 100_000)
        staff, counterparty = self.some("staff"), self.some("counterparty")
        place = (self.some("currency"), day, day, self.some("address"))
        if n % 2:
            design = self.some("design")
            order = self.add("sales_order", design, staff, counterparty, amount, price, *place)
            deal = self.add("transaction", "SALE", order, None)
        else:
            item = (f"ITEM{n:04}", amount % 1_000 + 1, price)
            order = self.add("purchase_order", staff, counterparty, *item, *place)
            deal = self.add("transaction", "PURCHASE", None, order)
        kind = 1 if n % 2 else 3
        money = (Decimal(amount) * price, self.some("currency"), kind, n % 3 == 0, day)
        self.add("payment", deal, counterparty, *money, 10_000_000 + n, 20_000_000 + n)
