"""How many messages wait, are worked on and are parked."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.names import SERVICES, Service
from ops.target import Target
from shared.aws import aws_errors

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient
    from types_aiobotocore_sqs.literals import QueueAttributeNameType

_COUNTED: tuple["QueueAttributeNameType", ...] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Depth:
    """Messages of one service; `in_flight` are held by a worker or wait for their retry."""

    waiting: int
    in_flight: int
    parked: int

    @property
    def busy(self) -> bool:
        """Whether the service has anything left to do."""
        return bool(self.waiting or self.in_flight)


async def read_depths(sqs: "SQSClient", target: Target) -> dict[Service, Depth]:
    """Ask every queue and dead-letter queue; on AWS the numbers are approximate."""
    found = await asyncio.gather(*(_read(sqs, target, service) for service in SERVICES))
    return dict(zip(SERVICES, found, strict=True))


async def _read(sqs: "SQSClient", target: Target, service: Service) -> Depth:
    names = target.names
    visible, held, delayed = await _counts(sqs, target.queue_url(names.queue(service)))
    parked = await _counts(sqs, target.queue_url(names.dead_letter_queue(service)))
    return Depth(waiting=visible + delayed, in_flight=held, parked=sum(parked))


async def _counts(sqs: "SQSClient", url: str) -> list[int]:
    with aws_errors(f"counting messages of {url}"):
        response = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTED))
    return [int(response["Attributes"][name]) for name in _COUNTED]
