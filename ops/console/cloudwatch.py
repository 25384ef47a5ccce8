"""Reading CloudWatch: what the services measured, and how old the oldest message of a queue is.

SQS has no attribute for that age. The local emulator answers this one metric too
(`ops/stack/emulator_server.py`); of the services' own it knows nothing, as nobody reads their log.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from infra.names import SERVICES, Names, Service
from ops.console.gauges import WINDOW, Gauges, summed_up
from shared.aws import aws_errors
from shared.errors import QuarryError
from shared.log import log
from shared.metrics import SHOWN

_PERIOD = timedelta(minutes=1)
_OLDEST = "ApproximateAgeOfOldestMessage"


class MetricData(Protocol):
    """The part of the CloudWatch client that is used."""

    async def get_metric_data(self, **request: Any) -> Any:
        """Answer `MetricDataQueries`."""


@dataclass(frozen=True)
class Reading:
    """What CloudWatch knows; a service it knows nothing of is absent.

    `oldest` is since when the oldest message of a service's queue has been there.
    """

    gauges: Mapping[Service, Gauges] = field(default_factory=dict)
    oldest: Mapping[Service, datetime] = field(default_factory=dict)


class CloudWatch:
    """Asks at most every `every`: on AWS each answer costs 36 metrics, a cent per thousand."""

    def __init__(self, client: MetricData, names: Names, *, every: timedelta) -> None:
        self._client = client
        self._names = names
        self._every = every
        self._asked_at: datetime | None = None
        self._latest = Reading()

    async def read(self) -> Reading:
        """Return the newest reading; where CloudWatch does not answer, an empty one."""
        now = datetime.now(UTC)
        if self._asked_at is None or now - self._asked_at >= self._every:
            self._asked_at = now
            try:
                self._latest = await self._ask(now)
            except QuarryError as error:
                self._latest = Reading()
                log.warning("cloudwatch_not_read", reason=str(error))
        return self._latest

    async def _ask(self, now: datetime) -> Reading:
        names = self._names
        wanted: dict[str, tuple[Service, str]] = {}
        queries = []
        for at, service in enumerate(SERVICES):
            for name, way in SHOWN.items():
                wanted[f"{name.lower()}{at}"] = (service, name)
                metric = _metric(names.metrics_namespace, name, "service", service)
                queries.append(_query(f"{name.lower()}{at}", metric, way))
            wanted[f"oldest{at}"] = (service, _OLDEST)
            metric = _metric("AWS/SQS", _OLDEST, "QueueName", names.queue(service))
            queries.append(_query(f"oldest{at}", metric, "Maximum"))
        with aws_errors("reading CloudWatch"):
            answer = await self._client.get_metric_data(
                MetricDataQueries=queries,
                StartTime=now - WINDOW,
                EndTime=now + _PERIOD,
                ScanBy="TimestampDescending",
            )
        found: dict[Service, dict[str, list[float]]] = defaultdict(dict)
        oldest: dict[Service, datetime] = {}
        for result in answer["MetricDataResults"]:
            service, name = wanted[result["Id"]]
            points = sorted(zip(result["Timestamps"], result["Values"], strict=True))
            if name == _OLDEST:
                oldest |= {service: _since(*points[-1], now)} if points and points[-1][1] else {}
            else:
                found[service][name] = [value for _, value in points]
        gauges = {service: Gauges(summed_up(own), "CloudWatch") for service, own in found.items()}
        return Reading({name: own for name, own in gauges.items() if own.values}, oldest)


def _since(period_start: datetime, age_seconds: float, now: datetime) -> datetime:
    """Return when the message came that was so old at the end of its period, or is now."""
    return min(now, period_start + _PERIOD) - timedelta(seconds=age_seconds)


def _metric(namespace: str, name: str, dimension: str, value: str) -> dict[str, Any]:
    dimensions = [{"Name": dimension, "Value": value}]
    return {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}


def _query(query_id: str, metric: dict[str, Any], way: str) -> dict[str, Any]:
    period = int(_PERIOD.total_seconds())
    return {"Id": query_id, "MetricStat": {"Metric": metric, "Period": period, "Stat": way}}
