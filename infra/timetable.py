"""Which requests go out by themselves, and when. Pure."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from contracts import Period
from infra.settings import ScheduleSettings

# Scheduler puts the planned moment here, so that a replayed message still means its own quarter:
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
PLANNED = "<aws.scheduler.scheduled-time>"
_NOON = "0 12"
# Any year that is not a leap year: a quarter's end and the days after it are the same in all.
_ANY_YEAR = 2025


def scheduled_requests(
    schedule: ScheduleSettings,
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield name, schedule expression and generator request of each schedule."""
    reports = {"dataset": "call_reports", "as_of": PLANNED}
    for quarter in range(1, 5):
        due = Period(_ANY_YEAR, quarter).end + timedelta(days=schedule.days_after_quarter_end)
        yield (
            f"call-reports-q{quarter}",
            f"cron({_NOON} {due.day} {due.month} ? *)",
            reports | {"last_quarters": 1},
        )
    yield (
        "call-reports-restatements",
        f"cron({_NOON} 1 * ? *)",
        reports | {"last_quarters": schedule.recollect_quarters},
    )
    for dataset, minutes in schedule.incremental.items():
        yield f"incremental-{dataset}", f"rate({minutes} minutes)", {"dataset": dataset}
    for dataset, hour in schedule.refresh.items():
        yield f"refresh-{dataset}", f"cron(0 {hour} * * ? *)", {"dataset": dataset}
