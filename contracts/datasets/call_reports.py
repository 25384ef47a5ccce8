"""Bank call reports (FFIEC 031/041/051), one zip of tab-delimited schedules per quarter."""

from contracts.dataset import Dataset, PortalSource
from contracts.period import Period

SOURCE = PortalSource(
    product="Call Reports -- Single Period",
    file_format="Tab Delimited",
    archive_prefix="FFIEC CDR Call Bulk All Schedules ",
    member_pattern=(
        r"FFIEC CDR Call (?:Bulk|Schedule) (?P<table>\w+) (?P<date>\d{8})"
        r"(?:\((?P<part>\d+) of (?P<parts>\d+)\))?\.txt"
    ),
)
DATASET = Dataset(
    name="call_reports",
    table_schema="call_reports",
    source=SOURCE,
    format="cdr_bulk",
    first_period=Period(2001, 1),
    mode="replace_period",
    key=("idrssd", "period_end"),
)
