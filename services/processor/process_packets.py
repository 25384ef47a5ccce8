"""The processor's second use case: packets of a database become facts and dimensions."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from contracts import Dataset, Envelope, FolderComplete, LoadTable, Packet, clean_prefix
from contracts.datasets import UnknownDataset, dataset_named
from contracts.packet_record import PacketRecord, packet_record_key
from contracts.packet_request import ProcessPackets
from contracts.star_schema import StarSchema
from services.processor.download import verify
from services.processor.star_cells import PacketRows
from services.processor.star_misfits import Taken
from services.processor.star_outputs import OutputLake, Outputs
from services.processor.star_state import Step, advance
from services.processor.star_store import Applied, Head, StarStore
from shared.consumer import Done
from shared.errors import InvalidRequest, TransientError
from shared.leftovers import folder_prefix
from shared.log import log

SendLoads = Callable[[Sequence[Envelope[LoadTable]]], Awaitable[None]]
PacketMessage = Envelope[FolderComplete] | Envelope[ProcessPackets]
_ATTEMPTS = 10


class PacketLake(OutputLake, Protocol):
    """The lake as this use case needs it."""

    async def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        ...


async def process_packets(
    envelope: PacketMessage,
    *,
    lake: PacketLake,
    send: SendLoads,
    now: Callable[[], datetime],
) -> Done:
    """Bring packets into the star schema, each exactly once, and order the loads.

    One conditional write makes the state, a run's tables and its loads count together; whoever
    comes after a run that died before its loads were sent sends them. So a repeated message, two
    processors at once and packets out of order are all safe.

    Raises:
        InvalidRequest: the dataset is unknown or has no star schema.
        MissingObject: there is no such packet.
        ManifestMismatch: a packet is not what its record says.
        TransientError: other processors kept moving the state on.
    """
    dataset, star = _asked_for(envelope.payload.dataset)
    store = StarStore(dataset.name, star, lake)
    with tempfile.TemporaryDirectory(prefix=folder_prefix("packets")) as scratch:
        work = _Work(envelope, dataset, star, store, Path(scratch), lake, send, now)
        for _ in range(_ATTEMPTS):
            await work.send_what_was_left()
            head, etag = await store.head()
            asked_for = dict.fromkeys(envelope.payload.packets)
            todo = [packet for packet in asked_for if not head.has(packet)]
            if not todo:
                return await work.done_before(head)
            done = await work.apply(head, etag, todo)
            if done is not None:
                await work.send_what_was_left()
                return done
    raise TransientError(f"{store.head_key} changed {_ATTEMPTS} times while packets were applied")


def _asked_for(name: str) -> tuple[Dataset, StarSchema]:
    try:
        dataset = dataset_named(name)
    except UnknownDataset as error:
        raise InvalidRequest(str(error)) from error
    if dataset.star is None:
        raise InvalidRequest(f"{name} has no star schema; packets are of no use to it")
    return dataset, dataset.star


@dataclass(frozen=True)
class _Work:
    """One message about packets, with everything its steps share."""

    envelope: PacketMessage
    dataset: Dataset
    star: StarSchema
    store: StarStore
    scratch: Path
    lake: PacketLake
    send: SendLoads
    now: Callable[[], datetime]

    async def apply(self, head: Head, etag: str | None, todo: Sequence[Packet]) -> Done | None:
        """Apply packets to a state; None when another processor moved it on meanwhile."""
        warnings = _gaps(head, todo)
        records = [await self.record(packet) for packet in todo]
        taken = [Taken.of(record, self.star, await self.fetch(record)) for record in records]
        before = await self.store.state(head)
        moment = self.now()
        if head.as_of is not None:
            # Loads are ordered as states are, whatever the clocks of two processors say.
            moment = max(moment, head.as_of + timedelta(microseconds=1))
        run_id = self.envelope.run_id
        outputs = Outputs(self.dataset, self.star, run_id, records, moment, self.scratch, self.lake)
        step = await asyncio.to_thread(advance, self.star, before, _by_table(taken), outputs.add)
        loads = await outputs.store()
        for each in taken:
            await outputs.quarantine(each.misfits)
        outbox = f"{outputs.prefix}_loads_{moment:%Y%m%dT%H%M%S%fZ}.json"
        await self.lake.put(
            outbox, json.dumps([load.model_dump(mode="json") for load in loads]).encode()
        )
        following = head.model_copy(
            update={
                "version": head.version + 1,
                "as_of": moment,
                "frames": await self.store.write(before, head, step.state, outputs.token),
                "serials": dict(step.state.serials),
                "span": step.state.span,
                "applied": _applied(head, todo),
                **head.with_run(run_id, outbox),
            }
        )
        if not await self.store.replace(following, etag):
            log.info("star_moved_on", version=head.version)
            return None
        misfits = [one.misfits.warning() for one in taken if one.misfits.rows]
        for reason in misfits:
            log.warning("rows_quarantined", reason=reason)
        done = Done(
            counts=_counts(taken, step, loads),
            expects=tuple(load.part for load in loads),
            warnings=(*warnings, *misfits),
        )
        await self.report(done)
        return done

    async def done_before(self, head: Head) -> Done:
        """Answer a repeated message; its loads were sent before this is asked."""
        outbox = head.outboxes.get(self.envelope.run_id)
        found = await self.lake.get_with_etag(outbox) if outbox else None
        # The list expires with the tables beside it; by then nobody follows the run any more.
        loads = _parsed(found[0]) if found else []
        return Done(expects=tuple(load.part for load in loads), outcome="processed_before")

    async def send_what_was_left(self) -> None:
        """Send the loads that the head does not know to be sent, oldest run first."""
        head, etag = await self.store.head()
        if not head.unsent:
            return
        for run_id in head.unsent:
            loads = await self._loads(head.outboxes[run_id])
            trace = self.envelope.trace if run_id == self.envelope.run_id else None
            await self.send(
                [
                    Envelope[LoadTable].wrap(load, run_id=run_id, trace=trace, sent_at=self.now())
                    for load in loads
                ]
            )
        # If another was quicker here, it or the next one sends them again; the ledger knows them.
        await self.store.replace(head.model_copy(update={"unsent": ()}), etag)

    async def record(self, packet: Packet) -> PacketRecord:
        """Look a packet up."""
        data = await self.lake.get(packet_record_key(self.dataset.name, packet))
        return PacketRecord.model_validate_json(data)

    async def fetch(self, record: PacketRecord) -> Path:
        """Bring a packet's file here and check its bytes."""
        path = self.scratch / record.key.rpartition("/")[2]
        await self.lake.download(record.key, path)
        await asyncio.to_thread(verify, path, record.key, record.bytes, record.sha256)
        return path

    async def report(self, done: Done) -> None:
        """Write down what became of the packets, beside their tables."""
        document = {
            "run_id": self.envelope.run_id,
            "dataset": self.dataset.name,
            "packets": [packet.model_dump() for packet in self.envelope.payload.packets],
            "counts": dict(done.counts),
            "warnings": list(done.warnings),
        }
        prefix = clean_prefix(self.dataset.name, "all", self.envelope.run_id)
        await self.lake.put(f"{prefix}_report.json", json.dumps(document, indent=1).encode())
        log.info("packets_processed", counts=dict(done.counts))

    async def _loads(self, outbox: str) -> list[LoadTable]:
        return _parsed(await self.lake.get(outbox))


def _parsed(outbox: bytes) -> list[LoadTable]:
    return [LoadTable.model_validate(load) for load in json.loads(outbox)]


def _by_table(taken: Sequence[Taken]) -> dict[str, dict[int, Iterator[PacketRows]]]:
    tables: dict[str, dict[int, Iterator[PacketRows]]] = {}
    for each in taken:
        tables.setdefault(each.record.packet.table, {})[each.record.packet.id] = each.parts()
    return tables


def _gaps(head: Head, packets: Sequence[Packet]) -> tuple[str, ...]:
    """Warn of packets that come before those they follow."""
    coming = {(packet.table, packet.id) for packet in packets}
    warnings = []
    for packet in packets:
        follows = head.has(Packet(table=packet.table, id=packet.id - 1)) if packet.id > 1 else True
        if not follows and (packet.table, packet.id - 1) not in coming:
            warnings.append(
                f"{packet.table}: packet {packet.id} is not sequential, {packet.id - 1} is missing"
            )
            log.warning("packet_not_sequential", reason=warnings[-1])
    return tuple(warnings)


def _applied(head: Head, packets: Sequence[Packet]) -> dict[str, Applied]:
    applied = dict(head.applied)
    for packet in packets:
        applied[packet.table] = applied.get(packet.table, Applied()).plus(packet.id)
    return applied


def _counts(taken: Sequence[Taken], step: Step, loads: Sequence[LoadTable]) -> dict[str, int]:
    return {
        "packets": len(taken),
        "bytes": sum(each.record.bytes for each in taken),
        "rows_in": sum(each.record.rows for each in taken),
        "tables": len(loads),
        "rows": sum(load.rows for load in loads),
        "quarantined": sum(each.misfits.rows for each in taken),
        "put_aside": step.put_aside,
        "released": step.released,
    }
