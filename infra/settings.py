"""What differs between environments, typed, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from infra.names import ENVIRONMENTS, LOCAL_ACCOUNT, LOCAL_REGION, SERVICES, Environment, Service

Edition = (
    Environment | Literal["prod-collector-task", "prod-collector-network", "prod-other-account"]
)
"""An environment, or a variant that is synthesised and checked but not committed."""

EDITIONS: tuple[Edition, ...] = (
    *ENVIRONMENTS,
    "prod-collector-task",
    "prod-collector-network",
    "prod-other-account",
)

VISIBILITY_FACTOR = 6
"""AWS asks for a visibility timeout of at least six function timeouts, so that throttled
batches are not handed out twice."""

_LAMBDA_SECONDS_MAX = 900
_FARGATE_TMP_GB_MIN = 21
_CONCURRENCY_MIN, _CONCURRENCY_MAX = 2, 1000


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Where a function runs in a network that is not Quarry's: yours, which has the sources.

    The subnets need a way to AWS's services and, for the portal, to the internet (NAT); the
    security groups a way out to the databases, which must let them in.
    """

    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """Size of a service's function. `max_concurrency` is the event source mapping's own cap."""

    memory_mb: int
    timeout_seconds: int
    batch_size: int
    max_concurrency: int
    reserved_concurrency: int | None = None
    tmp_mb: int = 512
    network: NetworkSettings | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.timeout_seconds <= _LAMBDA_SECONDS_MAX:
            raise ValueError(f"timeout_seconds {self.timeout_seconds}: Lambda allows 1 to 900")
        if not _CONCURRENCY_MIN <= self.max_concurrency <= _CONCURRENCY_MAX:
            raise ValueError(f"max_concurrency {self.max_concurrency}: SQS allows 2 to 1000")
        if self.reserved_concurrency is not None and (
            self.reserved_concurrency < self.max_concurrency
        ):
            raise ValueError(
                f"reserved_concurrency {self.reserved_concurrency} is below max_concurrency "
                f"{self.max_concurrency}: the difference would be throttled"
            )


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """A Fargate service that reads the queue instead of a function: no 15 minute limit."""

    cpu: int
    memory_mb: int
    tmp_gb: int
    tasks_max: int


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """One service. Neither function nor task: a long-running worker outside CloudFormation.

    More than `retries_an_hour_alarm` failed attempts in an hour are told to the operators.
    """

    visibility_seconds: int
    oldest_message_alarm_seconds: int
    retries_an_hour_alarm: int = 3
    function: FunctionSettings | None = None
    task: TaskSettings | None = None

    def __post_init__(self) -> None:
        if self.function is None:
            return
        least = VISIBILITY_FACTOR * self.function.timeout_seconds
        if self.visibility_seconds < least:
            raise ValueError(
                f"visibility_seconds {self.visibility_seconds} is below {least} = "
                f"{VISIBILITY_FACTOR} x timeout_seconds: a slow batch would run twice"
            )


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Aurora Serverless v2. At `min_acu` 0 it pauses after `pause_after_seconds` idle.

    `endpoint_zones` is in how many zones the network reaches other AWS services: each zone costs,
    and with one the loader waits out an outage of that zone.
    """

    min_acu: float
    max_acu: float
    pause_after_seconds: int | None
    backup_days: int
    secret_rotation_days: int
    deletion_protection: bool
    endpoint_zones: int


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Throttling of the REST entry, requests per second and burst."""

    rate: int
    burst: int


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """When messages go to the generator queue by themselves.

    A filing deadline is `days_after_quarter_end`; the month's re-collection fetches the last
    `recollect_quarters` again to find restatements. `incremental` maps a dataset without periods
    to its minutes between runs; `refresh` one that is taken over whole to its hour of the day, UTC.
    """

    enabled: bool
    days_after_quarter_end: int
    recollect_quarters: int
    incremental: Mapping[str, int] = field(default_factory=dict)
    refresh: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One environment. `account` and `region` None: whichever it is deployed to.

    `source_roles` are roles in other accounts that may read DynamoDB tables, by dataset.
    """

    env: Environment
    account: str | None
    region: str | None
    services: Mapping[Service, ServiceSettings]
    database: DatabaseSettings | None
    api: ApiSettings | None
    schedule: ScheduleSettings | None
    alarm_email: str | None
    keep_data: bool
    message_retention_days: int
    dead_letter_retention_days: int = 14
    max_receive_count: int = 5
    rule_retry_attempts: int = 24
    rule_max_event_hours: int = 6
    log_retention_days: int = 30
    archive_days: int | None = None
    raw_archive_after_days: int = 90
    clean_expires_after_days: int = 30
    source_roles: Mapping[str, str] = field(default_factory=dict)


def settings_for(edition: Edition) -> Settings:
    """Return the settings of an environment, or of a variant of one."""
    if edition == "prod-collector-task":
        return with_collector_task(_SETTINGS["prod"])
    if edition == "prod-collector-network":
        return with_collector_network(_SETTINGS["prod"], _EXAMPLE_NETWORK)
    if edition == "prod-other-account":
        return replace(_SETTINGS["prod"], source_roles=_EXAMPLE_ROLES)
    return _SETTINGS[edition]


def with_collector_task(settings: Settings) -> Settings:
    """Return the settings with the collector as a Fargate task, for folders over 15 minutes."""
    collector = settings.services["collector"]
    if collector.function is None:
        raise ValueError(f"{settings.env} has no collector function to replace")
    if collector.function.network is not None:
        raise ValueError("the task has a network of its own; it cannot join the collector's")
    task = TaskSettings(
        cpu=1024, memory_mb=collector.function.memory_mb, tmp_gb=_FARGATE_TMP_GB_MIN, tasks_max=2
    )
    services = {**settings.services, "collector": replace(collector, function=None, task=task)}
    return replace(settings, services=services)


def with_collector_network(settings: Settings, network: NetworkSettings) -> Settings:
    """Return the settings with the collector in your network, for databases without a way in."""
    collector = settings.services["collector"]
    if collector.function is None:
        raise ValueError(f"{settings.env} has no collector function to put into a network")
    function = replace(collector.function, network=network)
    services = {**settings.services, "collector": replace(collector, function=function)}
    return replace(settings, services=services)


_EXAMPLE_ROLES = {"invoices": "arn:aws:iam::111122223333:role/quarry-reads-invoices"}
_EXAMPLE_NETWORK = NetworkSettings(
    subnet_ids=("subnet-0123456789abcdef0", "subnet-0fedcba9876543210"),
    security_group_ids=("sg-0123456789abcdef0",),
)


def _function_services(
    *, scale: int, loader_reserved: int | None
) -> dict[Service, ServiceSettings]:
    """Services as they run on AWS; `scale` multiplies how many run side by side.

    A new account may not reserve concurrency at all, so dev does without.
    """
    collector = FunctionSettings(
        memory_mb=2048, timeout_seconds=900, batch_size=1, max_concurrency=2, tmp_mb=6144
    )
    return {
        "generator": ServiceSettings(
            visibility_seconds=180,
            oldest_message_alarm_seconds=900,
            function=FunctionSettings(
                memory_mb=512, timeout_seconds=30, batch_size=10, max_concurrency=2
            ),
        ),
        "collector": ServiceSettings(
            visibility_seconds=VISIBILITY_FACTOR * collector.timeout_seconds,
            oldest_message_alarm_seconds=4 * 3600,
            # Waiting for a turn at a host counts as an attempt, too.
            retries_an_hour_alarm=20,
            function=collector,
        ),
        "processor": ServiceSettings(
            visibility_seconds=5400,
            oldest_message_alarm_seconds=2 * 3600,
            function=FunctionSettings(
                memory_mb=3008,
                timeout_seconds=900,
                batch_size=1,
                max_concurrency=4 * scale,
                tmp_mb=4096,
            ),
        ),
        "loader": ServiceSettings(
            visibility_seconds=1800,
            oldest_message_alarm_seconds=2 * 3600,
            function=FunctionSettings(
                memory_mb=1769,
                timeout_seconds=300,
                batch_size=1,
                max_concurrency=4 * scale,
                reserved_concurrency=loader_reserved,
                tmp_mb=2048,
            ),
        ),
    }


_SETTINGS: dict[Environment, Settings] = {
    "local": Settings(
        env="local",
        account=LOCAL_ACCOUNT,
        region=LOCAL_REGION,
        services={
            # Short: a worker extends the lease while it lives, and after kill -9 the message
            # comes back this soon.
            service: ServiceSettings(visibility_seconds=30, oldest_message_alarm_seconds=3600)
            for service in SERVICES
        },
        database=None,
        api=None,
        schedule=None,
        alarm_email=None,
        keep_data=False,
        message_retention_days=4,
    ),
    "dev": Settings(
        env="dev",
        account=None,
        region=None,
        services=_function_services(scale=1, loader_reserved=None),
        database=DatabaseSettings(
            min_acu=0,
            max_acu=2,
            pause_after_seconds=300,
            backup_days=1,
            secret_rotation_days=30,
            deletion_protection=False,
            endpoint_zones=1,
        ),
        api=ApiSettings(rate=5, burst=10),
        schedule=ScheduleSettings(
            enabled=False,
            days_after_quarter_end=46,
            recollect_quarters=4,
            incremental={"totesys": 30, "hires": 60},
            refresh={"invoices": 3},
        ),
        alarm_email="quarry-dev@example.com",
        keep_data=False,
        message_retention_days=4,
        archive_days=7,
    ),
    "prod": Settings(
        env="prod",
        account=None,
        region=None,
        services=_function_services(scale=2, loader_reserved=16),
        database=DatabaseSettings(
            min_acu=0,
            max_acu=8,
            pause_after_seconds=300,
            backup_days=14,
            secret_rotation_days=30,
            deletion_protection=True,
            endpoint_zones=2,
        ),
        api=ApiSettings(rate=10, burst=20),
        schedule=ScheduleSettings(
            enabled=True,
            days_after_quarter_end=46,
            recollect_quarters=8,
            incremental={"totesys": 10, "hires": 60},
            refresh={"invoices": 3},
        ),
        alarm_email="quarry-prod@example.com",
        keep_data=True,
        message_retention_days=4,
        log_retention_days=90,
        archive_days=30,
        raw_archive_after_days=180,
        clean_expires_after_days=90,
    ),
}
