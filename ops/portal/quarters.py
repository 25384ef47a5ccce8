"""Quarters made up on the spot: full size, the site's own quirks, the same bytes every time."""

import io
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl

from contracts import Period
from ops.portal.banks import Banks
from ops.portal.cells import Setting, column_cells
from ops.portal.layout import Part, parts_of

# Part of every cached file's name: bytes made by an older version are not served again.
_VERSION = 2
# Zips of one quarter and seed are equal to the last byte, so every member has this time.
_TIME = (2020, 11, 14, 0, 0, 0)
_NATIONAL_SHARE = 0.2  # of banks have a national charter
_POR_COLUMNS = (
    "FDIC Certificate Number",
    "OCC Charter Number",
    "OTS Docket Number",
    "Primary ABA Routing Number",
    "Financial Institution Name",
    "Financial Institution Address",
    "Financial Institution City",
    "Financial Institution State",
    "Financial Institution Zip Code",
    "Financial Institution Filing Type",
    "Last Date/Time Submission Updated On",
)
_README = (
    "This file is made up by Quarry's stand-in for the download page. \r\n"
    "The banks in it do not exist. \r\n"
    "Report date: {date} \r\n"
)


@dataclass(frozen=True)
class MadeUpQuarters:
    """Zips of made-up quarters, kept in `cache`; `restated` counts how often a quarter changed."""

    cache: Path
    seed: int = 1
    banks: int = 5_000

    def zip_of(self, period: Period, *, restated: int = 0) -> Path:
        """Return the zip of a quarter, made on first use (some seconds for 5,000 banks)."""
        name = f"v{_VERSION}-seed{self.seed}-banks{self.banks}-{period}-r{restated}.zip"
        path = self.cache / name
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            unfinished = self.cache / f"{name}.{uuid4().hex}"
            try:
                unfinished.write_bytes(make_zip(Banks(self.seed, self.banks), period, restated))
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        return path


def make_zip(banks: Banks, period: Period, restated: int = 0) -> bytes:
    """Return a quarter as the site would serve it."""
    setting = Setting(banks, period, restated)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED, 1)

        add(f"FFIEC CDR Call Bulk POR {period.end:%m%d%Y}.txt", _panel(setting))
        for part in parts_of(period):
            add(part.file_name(period), _schedule(part, setting))
        add("Readme.txt", _README.format(date=period.end).encode())
    return buffer.getvalue()


def _schedule(part: Part, setting: Setting) -> bytes:
    codes = "".join(f"\t{column.code}" for column in part.columns)
    descriptions = "".join(f"\t{column.description}" for column in part.columns)
    # RCE and RCEI share their columns and so must share their numbers.
    schedule = "RCE" if part.schedule == "RCEI" else part.schedule
    frame = pl.DataFrame(
        [
            pl.Series("IDRSSD", setting.banks.ids),
            *(
                column_cells(column, position, schedule, part.number, setting)
                for position, column in enumerate(part.columns)
            ),
        ]
    )
    rows = frame.write_csv(
        include_header=False, separator="\t", line_terminator="\t\r\n", quote_style="never"
    )
    return f'"IDRSSD"{codes}\t\r\n{descriptions}\t\r\n{rows}'.encode("ascii")


def _panel(setting: Setting) -> bytes:
    banks, period = setting.banks, setting.period
    random = np.random.default_rng([banks.seed, 9])
    national = random.random(banks.count) < _NATIONAL_SHARE
    charters = random.integers(1, 25_000, banks.count) * national
    routing = random.integers(10_000_000, 330_000_000, banks.count)
    zips = random.integers(10_000, 99_999, banks.count)
    days = random.integers(15, 40, banks.count)
    forms = banks.forms(period)
    lines = ['"IDRSSD"\t' + "\t".join(_POR_COLUMNS)]
    for row in range(banks.count):
        # Quotes inside an address and the blank after it are the site's, and so are zeros.
        quoted = '"M" ' if row % 97 == 13 else ""  # noqa: PLR2004  # now and then
        long_zip = "1234" if row % 11 == 5 else ""  # noqa: PLR2004  # nine digits now and then
        submitted = period.end + timedelta(days=int(days[row]))
        cells = (
            banks.ids[row],
            banks.certificates[row],
            charters[row],
            0,
            routing[row] if row % 50 else 0,
            banks.names[row],
            f"{100 + row % 900} {quoted}MAIN STREET ",
            banks.towns[row],
            banks.states[row],
            f"{zips[row]}{long_zip}",
            forms[row],
            f"{submitted}T{9 + row % 9:02d}:{row % 60:02d}:{row % 59:02d}",
        )
        lines.append("\t".join(map(str, cells)))
    return ("\r\n".join(lines) + "\r\n").encode("ascii")
