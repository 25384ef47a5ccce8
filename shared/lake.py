"""The lake: one S3 bucket, addressed by key."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from shared.aws import aws_errors
from shared.errors import PermanentError

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

# Above this a transfer is split into parts, so that memory stays bounded.
_SINGLE_PUT_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
# aioboto3 reads up to 100 parts ahead of the network by default, which is 800 MB.
_IN_PARTS = TransferConfig(multipart_chunksize=8 * _CHUNK_BYTES, max_concurrency=4, max_io_queue=2)
# What S3 answers when the condition of a conditional write does not hold, or two race.
_CHANGED_MEANWHILE = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})


class MissingObject(PermanentError):
    """The lake has no object under this key."""


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it; `etag` names this very version."""

    key: str
    bytes: int
    etag: str
    written_at: datetime


class Lake:
    """Reads and writes whole objects; every failure is in Quarry's error tree."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self.bucket = bucket
        self._s3 = s3

    async def put(self, key: str, data: bytes) -> None:
        """Write one object that fits memory."""
        with aws_errors(f"writing s3://{self.bucket}/{key}"):
            await self._s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    async def get(self, key: str) -> bytes:
        """Read one object that fits memory.

        Raises:
            MissingObject: there is none under `key`.
        """
        with aws_errors(f"reading s3://{self.bucket}/{key}"):
            try:
                response = await self._s3.get_object(Bucket=self.bucket, Key=key)
            except self._s3.exceptions.NoSuchKey as error:
                raise MissingObject(f"s3://{self.bucket}/{key} does not exist") from error
            return await response["Body"].read()

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read an object and the tag of this very version, for `put_if`; None if there is none."""
        with aws_errors(f"reading s3://{self.bucket}/{key}"):
            try:
                response = await self._s3.get_object(Bucket=self.bucket, Key=key)
            except self._s3.exceptions.NoSuchKey:
                return None
            return await response["Body"].read(), response["ETag"]

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write only if `key` still is the version `etag`, or with None only if it is new.

        False means that someone else wrote in between and nothing was written.
        """
        condition: dict[str, str] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with aws_errors(f"writing s3://{self.bucket}/{key}"):
            try:
                await self._s3.put_object(Bucket=self.bucket, Key=key, Body=data, **condition)  # type: ignore[arg-type]  # either condition is a string
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _CHANGED_MEANWHILE:
                    return False
                raise
            return True

    async def exists(self, key: str) -> bool:
        """Say whether `key` holds an object."""
        with aws_errors(f"looking for s3://{self.bucket}/{key}"):
            try:
                await self._s3.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NotFound"}:
                    return False
                raise
            return True

    async def upload(self, path: Path, key: str) -> None:
        """Write a file of any size, in parts when it is large."""
        if path.stat().st_size <= _SINGLE_PUT_BYTES:  # noqa: ASYNC240  # one stat of a local file
            await self.put(key, await asyncio.to_thread(path.read_bytes))
            return
        with aws_errors(f"writing s3://{self.bucket}/{key}"):
            await self._s3.upload_file(str(path), self.bucket, key, Config=_IN_PARTS)

    async def download(self, key: str, path: Path) -> None:
        """Read an object of any size into a file.

        Raises:
            MissingObject: there is none under `key`.
        """
        with aws_errors(f"reading s3://{self.bucket}/{key}"):
            try:
                response = await self._s3.get_object(Bucket=self.bucket, Key=key)
            except self._s3.exceptions.NoSuchKey as error:
                raise MissingObject(f"s3://{self.bucket}/{key} does not exist") from error
            with path.open("wb") as file:
                async for chunk in response["Body"].iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)

    async def keys(self, prefix: str) -> list[str]:
        """List every key under `prefix`, in lexical order."""
        found: list[str] = []
        with aws_errors(f"listing s3://{self.bucket}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            async for page in pages:
                found.extend(item["Key"] for item in page.get("Contents", []))
        return found

    async def listed(self, prefix: str) -> list[StoredObject]:
        """List every object under `prefix`, by key."""
        found: list[StoredObject] = []
        with aws_errors(f"listing s3://{self.bucket}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            async for page in pages:
                found.extend(
                    StoredObject(item["Key"], item["Size"], item["ETag"], item["LastModified"])
                    for item in page.get("Contents", [])
                )
        return found

    async def download_version(self, key: str, etag: str, path: Path) -> bool:
        """Read version `etag` into a file; False when the key holds something else or nothing."""
        with aws_errors(f"reading s3://{self.bucket}/{key}"):
            try:
                response = await self._s3.get_object(Bucket=self.bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                return _unless_changed(error)
            with path.open("wb") as file:
                async for chunk in response["Body"].iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
        return True

    async def copy_version(self, key: str, etag: str, to: str) -> bool:
        """Copy version `etag`, at most 5 GB, inside the bucket; False when it is not there."""
        with aws_errors(f"copying s3://{self.bucket}/{key} to {to}"):
            try:
                await self._s3.copy_object(
                    Bucket=self.bucket,
                    Key=to,
                    CopySource={"Bucket": self.bucket, "Key": key},
                    CopySourceIfMatch=etag,
                    # Copying an object's tags would take rights of its own.
                    TaggingDirective="REPLACE",
                )
            except ClientError as error:
                return _unless_changed(error)
        return True

    async def delete_version(self, key: str, etag: str) -> bool:
        """Delete the object while it still is version `etag`; False when it is not."""
        with aws_errors(f"deleting s3://{self.bucket}/{key}"):
            try:
                await self._s3.delete_object(Bucket=self.bucket, Key=key, IfMatch=etag)
            except ClientError as error:
                return _unless_changed(error)
        return True


def _unless_changed(error: ClientError) -> bool:
    """Return False for the answer that an object is another version or gone; raise others."""
    if error.response.get("Error", {}).get("Code") in _CHANGED_MEANWHILE:
        return False
    raise error
