import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from contracts import Stage, StepRecord
from contracts.status import StepStatus
from infra.names import Names
from ops.run_progress import RunProgress
from ops.target import Clients, Target
from ops.watch import Ended, Watch
from shared.run_log import DynamoRunLog

NAMES = Names("local")


@pytest.fixture
async def target(emulator_url: str) -> Target:
    return Target(NAMES, emulator_url)


@pytest.fixture
async def clients(target: Target) -> AsyncIterator[Clients]:
    async with target.clients() as clients:
        for service in ("generator", "collector"):
            for name in (NAMES.queue(service), NAMES.dead_letter_queue(service)):
                await clients.sqs.purge_queue(QueueUrl=target.queue_url(name))
        yield clients


def watch(
    target: Target, clients: Clients, run_id: str, dead: Sequence[str] = (), parked: int = 0
) -> Watch:
    return Watch(target, clients, run_id, parked, lambda: dead, idle_seconds=0.5)


async def record(
    clients: Clients, run_id: str, stage: Stage, part: str, status: StepStatus, **more: object
) -> None:
    now = datetime.now(UTC)
    step = StepRecord(
        run_id=run_id,
        stage=stage,
        part=part,
        status=status,
        dataset="call_reports",
        message_id="m",
        started_at=now,
        finished_at=now,
    )
    await DynamoRunLog(clients.dynamodb, NAMES.runs_table).record(step.model_copy(update=more))


async def follow(watching: Watch, *, timeout_seconds: float = 20) -> tuple[Ended, RunProgress]:
    seen: list[RunProgress] = []
    ended = await watching.follow(seen.append, timeout_seconds=timeout_seconds)
    return ended, seen[-1]


async def test_a_finished_run_ends_the_waiting(target: Target, clients: Clients) -> None:
    part = "2013Q1/call_reports.rc"
    await record(clients, "whole", "generator", "all", "done", expects=("2013Q1",))
    await record(clients, "whole", "collector", "2013Q1", "done")
    await record(clients, "whole", "processor", "2013Q1", "done", expects=(part,))
    await record(clients, "whole", "loader", part, "done", counts={"rows": 7})
    ended, shown = await follow(watch(target, clients, "whole"))
    assert (ended.outcome, ended.problem) == ("finished", None)
    assert shown.rows_by_table == {"call_reports.rc": 7}


async def test_a_parked_step_ends_it_with_the_reason(target: Target, clients: Clients) -> None:
    await record(clients, "parked", "generator", "all", "done", expects=("2013Q1",))
    await record(clients, "parked", "collector", "2013Q1", "parked", reason="PageChanged: no list")
    ended, _ = await follow(watch(target, clients, "parked"))
    assert ended.outcome == "parked"
    assert ended.problem == "collector parked 2013Q1: PageChanged: no list"


async def test_empty_queues_with_work_missing_are_a_stall(target: Target, clients: Clients) -> None:
    await record(clients, "lost", "generator", "all", "done", expects=("2013Q1",))
    ended, _ = await follow(watch(target, clients, "lost"))
    assert ended.outcome == "stalled"
    assert "the collector has not finished 2013Q1" in str(ended.problem)


async def test_a_message_parked_without_a_step_is_mentioned(
    target: Target, clients: Clients
) -> None:
    dlq = NAMES.dead_letter_queue("generator")
    await clients.sqs.send_message(QueueUrl=target.queue_url(dlq), MessageBody="not JSON")
    ended, _ = await follow(watch(target, clients, "unread"))
    assert "1 messages were parked unread: quarry-local-generator-dlq holds 1" in str(ended.problem)


async def test_messages_that_wait_are_no_stall(target: Target, clients: Clients) -> None:
    url = target.queue_url(NAMES.queue("collector"))
    await clients.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({}))
    ended, _ = await follow(watch(target, clients, "slow"), timeout_seconds=4)
    assert ended.outcome == "timeout"


async def test_a_dead_part_is_named(target: Target, clients: Clients) -> None:
    ended, _ = await follow(watch(target, clients, "dead", dead=["collector"]))
    assert ended.problem == "collector not running; bring back with: quarry up"


async def test_steps_that_come_later_are_shown(target: Target, clients: Clients) -> None:
    seen: list[RunProgress] = []
    following = asyncio.create_task(
        watch(target, clients, "later").follow(seen.append, timeout_seconds=20)
    )
    await asyncio.sleep(0.2)
    await record(clients, "later", "generator", "all", "parked", reason="InvalidRequest: no")
    assert (await following).outcome == "parked"
    assert [progress.state for progress in seen][:: len(seen) - 1] == ["waiting", "parked"]
