"""Every physical name, once. Pure: no CDK, no AWS call, so that anything may import it."""

from dataclasses import dataclass
from typing import Literal, get_args

Environment = Literal["local", "dev", "prod"]
Service = Literal["generator", "collector", "processor", "loader"]

ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)
SERVICES: tuple[Service, ...] = get_args(Service)
LOCAL_ACCOUNT = "000000000000"
LOCAL_REGION = "us-east-1"

FOLDER_COMPLETE_SOURCE = "quarry.collector"
FOLDER_COMPLETE_TYPE = "FolderComplete"
# Where files are dropped in the lake.
INBOX = "inbox"

_FIFO: frozenset[Service] = frozenset({"loader"})
_NEXT: dict[Service, Service] = {"generator": "collector", "processor": "loader"}


def is_fifo(service: Service) -> bool:
    """Whether the service's queue keeps the order of each message group."""
    return service in _FIFO


def next_service(service: Service) -> Service | None:
    """Return whose queue this service sends to; None where an event takes over, or nothing."""
    return _NEXT.get(service)


def stack_names(env: Environment) -> tuple[str, ...]:
    """Return the environment's stacks in an order in which they can be deployed.

    `local` has no data stack: its PostgreSQL is not made by CloudFormation.
    """
    parts = ["shared", *([] if env == "local" else ["data"]), *SERVICES]
    return tuple(Names(env).stack(part) for part in parts)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment in one account and region (CDK tokens are welcome)."""

    env: Environment
    account: str = LOCAL_ACCOUNT
    region: str = LOCAL_REGION
    partition: str = "aws"

    @property
    def prefix(self) -> str:
        """What every name starts with; also the name of the bus, the API and the dashboard."""
        return f"quarry-{self.env}"

    @property
    def bus(self) -> str:
        """The event bus."""
        return self.prefix

    @property
    def bucket(self) -> str:
        """The lake: `raw/` as received, `clean/` as typed Parquet."""
        return f"{self.prefix}-lake-{self.account}"

    @property
    def runs_table(self) -> str:
        """The run log: partition key `run_id`, sort key `step`."""
        return f"{self.prefix}-runs"

    @property
    def alarm_topic(self) -> str:
        """Where every alarm is told."""
        return f"{self.prefix}-alarms"

    @property
    def metrics_namespace(self) -> str:
        """Where the services' own metrics go (`shared/metrics.py` names them)."""
        return f"Quarry/{self.env}"

    @property
    def folder_complete_rule(self) -> str:
        """The rule that takes the collector's event to the processor's queue."""
        return f"{self.prefix}-folder-complete"

    @property
    def folder_complete_rule_dlq(self) -> str:
        """Events the rule could not deliver; a standard queue, as EventBridge demands."""
        return f"{self.folder_complete_rule}-dlq"

    def dropped_rule(self, dataset: str) -> str:
        """Return the rule that asks for a dataset when a file was dropped."""
        return f"{self.prefix}-dropped-{dataset}"

    @property
    def database_secret(self) -> str:
        """Where the database's address, user and password lie."""
        return f"{self.prefix}/database"

    @property
    def api_function(self) -> str:
        """The function behind the REST entry, which runs from the generator's image."""
        return f"{self.prefix}-api"

    def queue(self, service: Service) -> str:
        """Return the queue the service reads."""
        return f"{self.prefix}-{service}{_suffix(service)}"

    def dead_letter_queue(self, service: Service) -> str:
        """Return where the service's parked messages lie; FIFO exactly when its queue is."""
        return f"{self.prefix}-{service}-dlq{_suffix(service)}"

    def queue_url(self, queue: str) -> str:
        """Return the AWS address of a queue by its name; the emulator's has another host."""
        return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{queue}"

    def function(self, service: Service) -> str:
        """Return the name of the service's function, and of its Fargate cluster if it has one."""
        return f"{self.prefix}-{service}"

    def repository(self, service: Service) -> str:
        """Return where the service's container images lie."""
        return f"{self.prefix}-{service}"

    def parameter(self, *path: str) -> str:
        """Return a parameter's name: for ids and addresses that AWS generates, nothing else."""
        return "/".join(("", "quarry", self.env, *path))

    def stack(self, part: str) -> str:
        """Return the stack of a service, or of `shared` or `data`."""
        return f"Quarry-{part.capitalize()}-{self.env}"

    def arn(self, vendor_service: str, resource: str) -> str:
        """Return an ARN in this account and region."""
        return f"arn:{self.partition}:{vendor_service}:{self.region}:{self.account}:{resource}"

    def lake_arn(self, keys: str = "") -> str:
        """Return the lake's ARN, or with `keys` such as `raw/*` that of objects in it."""
        return f"arn:{self.partition}:s3:::{self.bucket}" + (f"/{keys}" if keys else "")


def _suffix(service: Service) -> str:
    return ".fifo" if is_fifo(service) else ""
