"""DynamoDB as the account it runs in has it, or in another account by a role that is assumed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aioboto3
from pydantic import BaseModel, ConfigDict, Field

from shared.aws import aws_errors

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


class ScanSettings(BaseModel):
    """How one dataset's tables are reached and scanned, where not as its declaration says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role_arn: str | None = Field(
        default=None, description="Role in the tables' account that may read them."
    )
    external_id: str | None = Field(
        default=None, description="What the role's owner wants to hear when it is assumed."
    )
    region: str | None = Field(default=None, description="Region of the tables.")
    table_name: str | None = Field(
        default=None, description="DynamoDB name; may hold `{table}` and `{env}`."
    )
    segments: int | None = Field(default=None, ge=1, le=1_000)


class TableAccess:
    """Opens a client per table, so that a role's credentials are never older than one table."""

    def __init__(self, session: aioboto3.Session, scans: Mapping[str, ScanSettings]) -> None:
        self._session = session
        self._scans = scans

    def settings_of(self, dataset: str) -> ScanSettings:
        """Return what differs from the dataset's declaration."""
        return self._scans.get(dataset) or ScanSettings()

    @asynccontextmanager
    async def client(self, dataset: str, run_id: str) -> AsyncIterator["DynamoDBClient"]:
        """Open a client for the dataset's tables; the run's id is in the other account's trail.

        Raises:
            PermanentError: the role must not be assumed.
        """
        scan = self.settings_of(dataset)
        options: dict[str, Any] = {"region_name": scan.region} if scan.region else {}
        if scan.role_arn:
            options |= await self._assumed(scan.role_arn, scan.external_id, run_id)
        async with self._session.client("dynamodb", **options) as client:
            yield client

    async def _assumed(self, role_arn: str, external_id: str | None, run_id: str) -> dict[str, str]:
        shown = {"ExternalId": external_id} if external_id else {}
        with aws_errors(f"assuming {role_arn}"):
            async with self._session.client("sts") as sts:
                answer = await sts.assume_role(
                    RoleArn=role_arn, RoleSessionName=f"quarry-{run_id}"[:64], **shown
                )
        found = answer["Credentials"]
        return {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }
