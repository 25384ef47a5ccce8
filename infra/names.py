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
    parts = ["Shared", *([] if env == "local" else ["Data"]), *(s.capitalize() for s in SERVICES)]
    return tuple(f"Quarry-{part}-{env}" for part in parts)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment in one account and region (CDK tokens are welcome)."""

    env: Environment
    account: str = LOCAL_ACCOUNT
    region: str = LOCAL_REGION
    partition: str = "aws"

    @property
    def prefix(self) -> str:
        return f"quarry-{self.env}"

    @property
    def bus(self) -> str:
        return self.prefix

    @property
    def archive(self) -> str:
        return f"{self.prefix}-archive"

    @property
    def bucket(self) -> str:
        return f"{self.prefix}-lake-{self.account}"

    @property
    def runs_table(self) -> str:
        return f"{self.prefix}-runs"

    @property
    def alarm_topic(self) -> str:
        return f"{self.prefix}-alarms"

    @property
    def dashboard(self) -> str:
        return self.prefix

    @property
    def folder_complete_rule(self) -> str:
        return f"{self.prefix}-folder-complete"

    @property
    def folder_complete_rule_dlq(self) -> str:
        """Events the rule could not deliver; a standard queue, as EventBridge demands."""
        return f"{self.folder_complete_rule}-dlq"

    @property
    def database_cluster(self) -> str:
        return self.prefix

    @property
    def database_secret(self) -> str:
        return f"{self.prefix}/database"

    @property
    def api(self) -> str:
        return self.prefix

    @property
    def api_function(self) -> str:
        return f"{self.prefix}-api"

    @property
    def collector_cluster(self) -> str:
        return f"{self.prefix}-collector"

    def queue(self, service: Service) -> str:
        """Return the queue the service reads."""
        return f"{self.prefix}-{service}{_suffix(service)}"

    def dead_letter_queue(self, service: Service) -> str:
        """Return where the service's parked messages lie; FIFO exactly when its queue is."""
        return f"{self.prefix}-{service}-dlq{_suffix(service)}"

    def queue_url(self, service: Service) -> str:
        """Return the AWS address of the queue; the emulator's has another host."""
        return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.queue(service)}"

    def function(self, service: Service) -> str:
        """Return the service's function, and the base of its role's and log group's name."""
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


def _suffix(service: Service) -> str:
    return ".fifo" if is_fifo(service) else ""
