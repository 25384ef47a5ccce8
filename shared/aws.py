"""AWS clients with timeouts and retries set once; the endpoint comes from `AWS_ENDPOINT_URL`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient
    from types_aiobotocore_events.client import EventBridgeClient
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_sqs.client import SQSClient

# A poll of up to 20 seconds must end before the client gives up on it.
_CONFIG = AioConfig(
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=32,
    retries={"mode": "standard", "max_attempts": 4},
)
# Asking again will not help: the request itself is refused.
_REFUSED = frozenset(
    {"AccessDenied", "AccessDeniedException", "InvalidParameterValue", "NoSuchBucket"}
    | {
        "ValidationException",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
    }
)


@dataclass(frozen=True)
class Clients:
    """One open client per AWS service that Quarry's workers use."""

    s3: "S3Client"
    sqs: "SQSClient"
    events: "EventBridgeClient"
    dynamodb: "DynamoDBClient"


@asynccontextmanager
async def open_clients() -> AsyncIterator[Clients]:
    """Open the clients with the usual AWS credential chain and close them together."""
    session = aioboto3.Session()
    async with AsyncExitStack() as stack:
        yield Clients(
            s3=await stack.enter_async_context(session.client("s3", config=_CONFIG)),
            sqs=await stack.enter_async_context(session.client("sqs", config=_CONFIG)),
            events=await stack.enter_async_context(session.client("events", config=_CONFIG)),
            dynamodb=await stack.enter_async_context(session.client("dynamodb", config=_CONFIG)),
        )


@contextmanager
def aws_errors(doing: str) -> Iterator[None]:
    """Translate AWS failures inside into the error tree; `doing` says what was tried."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        kind = PermanentError if code in _REFUSED else TransientError
        raise kind(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise TransientError(f"{doing}: {error}") from error
