"""Where each stage says how far it is: the DynamoDB table `quarry-{env}-runs`."""

import time
from typing import TYPE_CHECKING, Protocol

from contracts import StepRecord
from shared.aws import aws_errors

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

_KEEP_SECONDS = 400 * 24 * 3600
# Longer than any queue keeps a message: a copy cannot come later.
_KEEP_CLAIM_SECONDS = 30 * 24 * 3600


class RunLog(Protocol):
    """Keeps the latest record per run, stage and part."""

    async def record(self, step: StepRecord) -> None:
        """Store `step`, replacing what this stage last said about this part."""

    async def claim(self, replay_id: str, message_id: str) -> bool:
        """Say whether the queue's message `message_id` is the one that stands for a replay.

        The first to ask does, and does again when it is delivered again.
        """


class DynamoRunLog:
    """One item per step: key `run_id`, sort key `{stage}#{part}`, the record as JSON in `body`."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    async def record(self, step: StepRecord) -> None:
        """Store `step`; DynamoDB forgets it after 400 days."""
        with aws_errors(f"recording {step.stage} of run {step.run_id}"):
            await self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "run_id": {"S": step.run_id},
                    "step": {"S": f"{step.stage}#{step.part}"},
                    "body": {"S": step.model_dump_json(exclude_defaults=True)},
                    "expires_at": {"N": str(int(time.time()) + _KEEP_SECONDS)},
                },
            )

    async def claim(self, replay_id: str, message_id: str) -> bool:
        """Claim a replay for a message; kept under a partition of its own, for 30 days."""
        with aws_errors(f"claiming replay {replay_id}"):
            try:
                await self._dynamodb.put_item(
                    TableName=self._table,
                    Item={
                        "run_id": {"S": f"replay-{replay_id}"},
                        "step": {"S": "claim"},
                        "holder": {"S": message_id},
                        "expires_at": {"N": str(int(time.time()) + _KEEP_CLAIM_SECONDS)},
                    },
                    ConditionExpression="attribute_not_exists(holder) OR holder = :me",
                    ExpressionAttributeValues={":me": {"S": message_id}},
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    async def steps(self, run_id: str) -> list[StepRecord]:
        """Read everything known about one run."""
        found: list[StepRecord] = []
        with aws_errors(f"reading run {run_id}"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="run_id = :run",
                ExpressionAttributeValues={":run": {"S": run_id}},
                ConsistentRead=True,
            )
            async for page in pages:
                found.extend(
                    StepRecord.model_validate_json(item["body"]["S"]) for item in page["Items"]
                )
        return found
