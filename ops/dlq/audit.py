"""The audit table: who changed what in a dead-letter queue, when, why, by which plan, how it ended.

Entries lie in the run log's DynamoDB table under their own partition. It is the one table that an
operator reaches both locally and in AWS without a way into the database's network, and entries
there, unlike runs, never expire.
"""

import json
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import AwareDatetime, Field

from contracts.model import Contract
from shared.aws import aws_errors

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

Deed = Literal["edit", "replay", "purge", "rescue", "redrive"]
_PARTITION = "dlq-audit"


class AuditEntry(Contract):
    """One deed. `plan` is the key of the lake's object that holds every detail."""

    action_id: str
    deed: Deed
    at: AwareDatetime
    who: str
    why: str
    what: str
    messages: int = Field(ge=0)
    plan: str | None = None
    outcome: str = "begun"
    ended_at: AwareDatetime | None = None

    @property
    def key(self) -> str:
        """Where the entry lies; sorts by time."""
        return f"{self.at.isoformat()}#{self.action_id}"


class AuditTrail(Protocol):
    """Keeps entries; writing one again replaces what it said."""

    async def write(self, entry: AuditEntry) -> None:
        """Store an entry."""

    async def entries(self, *, limit: int) -> list[AuditEntry]:
        """Return the newest entries, newest first."""

    async def entry(self, key: str) -> AuditEntry | None:
        """Return one entry by its key, if it was written."""


class DynamoAuditTrail:
    """One item per deed: key `dlq-audit`, sort key the entry's key, the entry as JSON in `body`."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    async def write(self, entry: AuditEntry) -> None:
        """Store an entry; it never expires."""
        with aws_errors(f"writing the audit entry of {entry.deed} {entry.action_id}"):
            await self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "run_id": {"S": _PARTITION},
                    "step": {"S": entry.key},
                    "body": {"S": entry.model_dump_json()},
                },
            )

    async def entries(self, *, limit: int) -> list[AuditEntry]:
        """Return the newest entries, newest first."""
        with aws_errors("reading the audit table"):
            found = await self._dynamodb.query(
                TableName=self._table,
                KeyConditionExpression="run_id = :deeds",
                ExpressionAttributeValues={":deeds": {"S": _PARTITION}},
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=limit,
            )
        return [AuditEntry.model_validate(json.loads(item["body"]["S"])) for item in found["Items"]]

    async def entry(self, key: str) -> AuditEntry | None:
        """Return one entry by its key, if it was written."""
        with aws_errors(f"reading audit entry {key}"):
            found = await self._dynamodb.get_item(
                TableName=self._table,
                Key={"run_id": {"S": _PARTITION}, "step": {"S": key}},
                ConsistentRead=True,
            )
        item = found.get("Item")
        return AuditEntry.model_validate_json(item["body"]["S"]) if item else None
