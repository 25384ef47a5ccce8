"""Fakes that keep state, one per seam; what they hold is what a test asserts on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts import Envelope, StepRecord
from shared.errors import TransientError
from shared.inbox import Delivery
from shared.lake import MissingObject, StoredObject

_WRITTEN = datetime(2026, 11, 21, 8, tzinfo=UTC)


def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class FakeLake:
    """An S3 bucket as a dict of key to bytes, in the order of writing."""

    objects: dict[str, bytes] = field(default_factory=dict)
    bucket: str = "lake"

    async def put(self, key: str, data: bytes) -> None:
        self.objects.pop(key, None)
        self.objects[key] = data

    async def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise MissingObject(f"{key} does not exist") from None

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        data = self.objects.get(key)
        return None if data is None else (data, _etag(data))

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        present = self.objects.get(key)
        if (None if present is None else _etag(present)) != etag:
            return False
        await self.put(key, data)
        return True

    async def exists(self, key: str) -> bool:
        return key in self.objects

    async def upload(self, path: Path, key: str) -> None:
        await self.put(key, path.read_bytes())  # noqa: ASYNC240  # a fake may block

    async def download(self, key: str, path: Path) -> None:
        path.write_bytes(await self.get(key))  # noqa: ASYNC240  # a fake may block

    async def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    async def listed(self, prefix: str) -> list[StoredObject]:
        return [
            StoredObject(key, len(self.objects[key]), _etag(self.objects[key]), _WRITTEN)
            for key in await self.keys(prefix)
        ]

    async def download_version(self, key: str, etag: str, path: Path) -> bool:
        if not self._holds(key, etag):
            return False
        await self.download(key, path)
        return True

    async def copy_version(self, key: str, etag: str, to: str) -> bool:
        if not self._holds(key, etag):
            return False
        await self.put(to, self.objects[key])
        return True

    async def delete_version(self, key: str, etag: str) -> bool:
        if not self._holds(key, etag):
            return False
        del self.objects[key]
        return True

    def _holds(self, key: str, etag: str) -> bool:
        return key in self.objects and _etag(self.objects[key]) == etag


@dataclass
class FakeRunLog:
    """Every record in the order it was written."""

    records: list[StepRecord] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)
    unreachable: bool = False

    async def claim(self, replay_id: str, message_id: str) -> bool:
        return self.claims.setdefault(replay_id, message_id) == message_id

    async def record(self, step: StepRecord) -> None:
        if self.unreachable:
            raise TransientError("the run log is not reachable")
        self.records.append(step)


@dataclass
class FakeInbox:
    """Remembers leases and parked messages."""

    extended: list[tuple[str, int]] = field(default_factory=list)
    parked: list[tuple[Delivery, BaseException]] = field(default_factory=list)

    async def extend(self, delivery: Delivery, seconds: int) -> None:
        self.extended.append((delivery.message_id, seconds))

    async def park(self, delivery: Delivery, error: BaseException) -> None:
        self.parked.append((delivery, error))


@dataclass
class FakeSender:
    """Collects what was sent or published; `fail_times` first calls fail as if the network did."""

    sent: list[Envelope[Any]] = field(default_factory=list)
    fail_times: int = 0

    async def __call__(self, envelopes: Sequence[Envelope[Any]] | Envelope[Any]) -> None:
        if self.fail_times:
            self.fail_times -= 1
            raise TransientError("the queue is not reachable")
        self.sent.extend([envelopes] if isinstance(envelopes, Envelope) else envelopes)
