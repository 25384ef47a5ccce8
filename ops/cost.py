"""What an environment costs a month, derived from unit prices, its templates and a workload.

python -m ops.cost [--env prod] [--hourly 1] [--collections 4]
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.names import ENVIRONMENTS, SERVICES, Environment, Service
from infra.settings import DatabaseSettings, Settings, settings_for
from ops.doctor import Templates, committed_templates
from ops.prices import PRICES, Price

HOURS_A_MONTH = 730
_SECONDS_AN_HOUR = 3600
_MB_A_GB = 1024
# Lambda keeps 5 pollers on each queue, each with 20 second polls, even when nothing arrives:
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_POLLERS, _POLL_SECONDS = 5, 20
# Send, receive and delete; parking and lease extension are rare.
_REQUESTS_A_MESSAGE = 3
# A step is written when it starts and when it ends, each below 1 KB.
_STATUS_WRITES_A_MESSAGE = 2
# What `shared/metrics.py` prints of a message that is done, at most; failures are rare.
_METRICS_A_SERVICE = 7


@dataclass(frozen=True)
class Workload:
    """What happens in a month. Seconds are billed function time per message, assumed not measured.

    A quarter is one folder of about 49 tables; an incremental run is one packet of one table.
    """

    quarters: float
    incremental_runs: float
    tables_a_quarter: int = 49
    raw_gb_a_quarter: float = 0.05
    clean_gb_a_quarter: float = 0.012
    quarters_kept: int = 100
    database_gb_a_quarter: float = 0.06
    log_mb_a_message: float = 0.01
    generator_seconds: float = 1
    collector_seconds: float = 90
    processor_seconds: float = 60
    loader_seconds: float = 4
    incremental_seconds: float = 5
    acu_while_awake: float = 1


@dataclass(frozen=True)
class Line:
    """One position of the bill."""

    what: str
    quantity: float
    price: Price

    @property
    def dollars(self) -> float:
        """What the position costs a month."""
        return self.quantity * self.price.dollars


def workload_of(settings: Settings, *, collections_a_year: float, hourly: int) -> Workload:
    """Return the issue's workload: quarters a year, restatements, and hourly incremental loads."""
    schedule = settings.schedule
    again = schedule.recollect_quarters if schedule and schedule.enabled else 0
    return Workload(
        quarters=collections_a_year / 12 + again, incremental_runs=hourly * HOURS_A_MONTH
    )


def estimate(settings: Settings, templates: Templates, work: Workload) -> list[Line]:
    """Return the bill's positions; free tiers are not counted, so that it is an upper bound."""
    if settings.database is None:
        raise ValueError(f"{settings.env} has no database settings; ask about dev or prod")
    return [
        *_functions(settings, work),
        *_messages(work),
        *_storage(work),
        *_database(settings.database, work),
        *_watching(templates, work),
    ]


def _messages_of(work: Workload) -> dict[Service, float]:
    every = work.quarters + work.incremental_runs
    return {
        "generator": every,
        "collector": every,
        "processor": every,
        "loader": work.quarters * work.tables_a_quarter + work.incremental_runs,
    }


def _functions(settings: Settings, work: Workload) -> Iterator[Line]:
    seconds = {
        "generator": work.generator_seconds,
        "collector": work.collector_seconds,
        "processor": work.processor_seconds,
        "loader": work.loader_seconds,
    }
    for service, messages in _messages_of(work).items():
        function = settings.services[service].function
        if function is None:
            continue
        busy = (messages - work.incremental_runs) * seconds[service]
        busy += work.incremental_runs * min(seconds[service], work.incremental_seconds)
        gigabytes = function.memory_mb / _MB_A_GB
        yield Line(f"{service} function", busy * gigabytes, PRICES["lambda_gb_second"])
    yield Line(
        "function requests", sum(_messages_of(work).values()) / 1e6, PRICES["lambda_requests"]
    )


def _messages(work: Workload) -> Iterator[Line]:
    polls = _POLLERS * HOURS_A_MONTH * _SECONDS_AN_HOUR / _POLL_SECONDS
    messages = _messages_of(work)
    standard = sum(count for service, count in messages.items() if service != "loader")
    requests = standard * _REQUESTS_A_MESSAGE + polls * (len(SERVICES) - 1)
    yield Line("queues, mostly Lambda's empty polls", requests / 1e6, PRICES["sqs_standard"])
    fifo = messages["loader"] * _REQUESTS_A_MESSAGE + polls
    yield Line("loader queue (FIFO), the same", fifo / 1e6, PRICES["sqs_fifo"])
    events = messages["processor"] + messages["loader"]
    yield Line("events on the bus", events / 1e6, PRICES["events"])
    writes = sum(messages.values()) * _STATUS_WRITES_A_MESSAGE
    yield Line("run log", writes / 1e6, PRICES["dynamodb_writes"])
    requests = messages["generator"]
    yield Line("runs asked for by REST", requests / 1e6, PRICES["api_requests"])
    yield Line("the same by schedule", requests / 1e6, PRICES["schedules"])


def _storage(work: Workload) -> Iterator[Line]:
    kept = work.quarters_kept * work.raw_gb_a_quarter
    yield Line("raw files, all kept", kept, PRICES["s3_glacier_instant"])
    clean = work.quarters * 3 * work.clean_gb_a_quarter
    yield Line("clean files, 90 days", clean, PRICES["s3_standard"])
    puts = work.quarters * 2 * work.tables_a_quarter + 2 * work.incremental_runs
    yield Line("object writes", puts / 1000, PRICES["s3_puts"])
    yield Line("images, 10 a service of 0.4 GB", 4 * 10 * 0.4, PRICES["ecr"])


def awake_hours(database: DatabaseSettings, work: Workload) -> float:
    """Hours a month in which the database is not paused.

    Every load keeps it awake for the pause setting after it; loads of one quarter come together.
    """
    if database.min_acu > 0 or database.pause_after_seconds is None:
        return HOURS_A_MONTH
    a_quarter = work.tables_a_quarter * work.loader_seconds + database.pause_after_seconds
    a_packet = work.incremental_seconds + database.pause_after_seconds
    seconds = work.quarters * a_quarter + work.incremental_runs * a_packet
    return min(HOURS_A_MONTH, seconds / _SECONDS_AN_HOUR)


def _database(database: DatabaseSettings, work: Workload) -> Iterator[Line]:
    acu = min(database.max_acu, max(database.min_acu, work.acu_while_awake))
    awake = awake_hours(database, work)
    yield Line(f"database, awake {awake:.0f} h", awake * acu, PRICES["aurora_acu_hour"])
    size = work.quarters_kept * work.database_gb_a_quarter
    yield Line("database storage", size, PRICES["aurora_storage"])
    yield Line("database secret", 1, PRICES["secret"])
    zones = 3 * database.endpoint_zones
    yield Line(
        f"network endpoints, 3 x {database.endpoint_zones} zones",
        zones * HOURS_A_MONTH,
        PRICES["endpoint_hour"],
    )


def _watching(templates: Templates, work: Workload) -> Iterator[Line]:
    alarms = sum(len(t.resources("AWS::CloudWatch::Alarm")) for t in templates.values())
    yield Line(f"alarms ({alarms} in the templates)", alarms, PRICES["alarm"])
    # A metric costs for the hours in which it is sent.
    hours = min(HOURS_A_MONTH, work.quarters + work.incremental_runs)
    metrics = _METRICS_A_SERVICE * len(SERVICES) * hours / HOURS_A_MONTH
    yield Line("metrics of our own", metrics, PRICES["metric"])
    yield Line("dashboard", 1, PRICES["dashboard"])
    logs = sum(_messages_of(work).values()) * work.log_mb_a_message / _MB_A_GB
    yield Line("logs", logs, PRICES["logs"])
    yield Line("traces", sum(_messages_of(work).values()) / 1e6, PRICES["traces"])


def main() -> None:
    """Print the bill of one environment, dearest position first."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--env", choices=[e for e in ENVIRONMENTS if e != "local"], default="prod")
    parser.add_argument("--hourly", type=int, default=1, help="incremental runs an hour")
    parser.add_argument("--collections", type=float, default=4, help="quarters a year")
    arguments = parser.parse_args()
    env: Environment = arguments.env
    settings = settings_for(env)
    work = workload_of(settings, collections_a_year=arguments.collections, hourly=arguments.hourly)
    lines = sorted(
        estimate(settings, committed_templates(env), work),
        key=lambda line: line.dollars,
        reverse=True,
    )
    _print(lines)


def _print(lines: Sequence[Line]) -> None:
    for line in lines:
        each = f"{line.price.dollars:.7g} per {line.price.unit}"
        sys.stdout.write(f"{line.dollars:8.2f}  {line.what:38} {line.quantity:12.3f} x {each}\n")
    total = sum(line.dollars for line in lines)
    sys.stdout.write(f"{total:8.2f}  US dollars a month, free tiers not used\n")


if __name__ == "__main__":
    main()
