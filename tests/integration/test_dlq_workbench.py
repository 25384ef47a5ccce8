"""The workbench on real queues: 200 messages of twelve kinds, and nothing is lost by looking."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from contracts import Period
from infra.names import SERVICES
from ops.dlq import deeds
from ops.dlq.archive import read_archive
from ops.dlq.edit import InvalidEdit, with_values
from ops.dlq.filters import Filter
from ops.dlq.groups import grouped
from ops.dlq.queues import MoveNotOffered, SqsDeadLetters
from ops.dlq.replay import Pace
from ops.dlq.workbench import Workbench
from shared.aws import open_clients
from shared.errors import SchemaMismatch
from shared.inbox import SqsInbox
from tests.dlq_bench import Queues, as_delivered, bench_at, pointed_at
from tests.parked import NAMES, Parked, collect, load, park, parked_messages, why

FAST = Pace(10_000)
Q1, Q2 = Period(2013, 1), Period(2013, 2)


@pytest.fixture
def queues(emulator_url: str) -> Queues:
    found = Queues.at(emulator_url)
    found.empty()
    return found


@pytest.fixture
async def bench(emulator_url: str, tmp_path: Path) -> AsyncIterator[Workbench]:
    async with bench_at(emulator_url, tmp_path) as opened:
        yield opened


async def replay_all(bench: Workbench, **options: Any) -> deeds.Result:
    messages = await bench.parked()
    plan = await bench.plan(messages, selection="everything")
    return await deeds.replay(bench, plan, messages, why="test", pace=FAST, **options)


async def test_looking_takes_each_message_once_and_loses_none(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, parked_messages(200))

    looks = await bench.look()

    assert sum(look.seen for look in looks) == queues.parked() == 200
    assert {message.receive_count for message in await bench.parked()} == {1}
    assert len(grouped(await bench.parked())) == 12
    assert [look.in_flight for look in await bench.look()] == [0] * len(looks)
    assert {message.receive_count for message in await bench.parked()} == {2}


async def test_a_fresh_look_is_not_repeated(bench: Workbench, queues: Queues) -> None:
    park(queues.sqs, parked_messages(12))
    await bench.look()

    await bench.look(max_age=timedelta(minutes=1))

    assert {message.receive_count for message in await bench.parked()} == {1}


async def test_every_message_of_a_fifo_group_that_a_worker_parked_is_seen(
    bench: Workbench, queues: Queues
) -> None:
    reasons = [
        Parked("loader", load(Q1, f"t{n}"), why("loader", "E", "r", n, "rc"), "rc")
        for n in range(25)
    ]
    park(queues.sqs, reasons)

    looks = await bench.look()

    assert [look.seen for look in looks if look.depth] == [25]
    assert {message.order_group for message in await bench.parked()} == {"rc"}


async def test_a_look_says_when_a_fifo_group_hides_messages(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, [Parked("loader", load(Q1, f"t{n}"), group="rc") for n in range(14)])

    (look,) = [look for look in await bench.look() if look.depth]

    assert (look.depth, look.seen) == (14, 10)
    assert queues.parked() == 14


async def test_what_someone_else_took_away_is_no_longer_shown(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, parked_messages(12))
    await bench.look()
    queues.empty()
    park(queues.sqs, [Parked("collector", collect(Q1))])

    await bench.look()

    assert [message.service for message in await bench.parked()] == ["collector"]


async def test_a_replay_takes_every_readable_message_to_its_queue_with_its_history(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, parked_messages(200))
    await bench.look()
    before = await bench.parked()

    result = await replay_all(bench)

    unreadable = [m for m in before if m.error_type == "InvalidMessage"]
    assert result.tally.by_state == {"done": 200 - len(unreadable)}
    assert queues.parked() == len(unreadable) == 17
    sent = [message for service in SERVICES for message in queues.drain(service)]
    assert Counter(m["Body"] for m in sent) == Counter(
        m.body for m in before if m.error_type != "InvalidMessage"
    )
    by_body = {message.body: message for message in before if message.attributes}
    for message in sent:
        original = by_body.get(message["Body"])
        if original is None:
            continue
        attributes = {n: v["StringValue"] for n, v in message["MessageAttributes"].items()}
        # The collector's messages of one quarter are alike; the loader's are not.
        if original.service == "loader":
            assert attributes["original_message_id"] == original.original_message_id
        assert attributes["replay_attempt"] == "1"
        assert message["Attributes"].get("MessageGroupId") == (
            original.order_group if original.service == "loader" else None
        )


async def test_a_replayed_message_that_is_parked_again_keeps_its_history_and_group(
    bench: Workbench, queues: Queues, emulator_url: str
) -> None:
    park(queues.sqs, [Parked("loader", load(Q1), why("loader", "E", "r", 1, "rc"), "rc")])
    await bench.look()
    (first,) = await bench.parked()
    await replay_all(bench)
    (sent,) = queues.drain("loader")
    with pointed_at(emulator_url):
        async with open_clients() as clients:
            dlq = queues.url(NAMES.dead_letter_queue("loader"))
            inbox = SqsInbox(clients.sqs, queues.url(NAMES.queue("loader")), dlq, "loader")
            await inbox.park(as_delivered(sent), SchemaMismatch("again"))

    await bench.look()
    (again,) = await bench.parked()

    assert again.message_id != first.message_id
    assert again.original_message_id == first.original_message_id
    assert (again.replay_attempt, again.order_group) == (1, "rc")
    plan = await bench.plan([again], selection="again")
    await deeds.replay(bench, plan, [again], why="test", pace=FAST)
    (second,) = queues.drain("loader")
    assert second["MessageAttributes"]["replay_attempt"]["StringValue"] == "2"


async def test_a_replay_right_after_the_original_is_not_swallowed_as_a_duplicate(
    bench: Workbench, queues: Queues
) -> None:
    original = "the-same-deduplication-id"
    url = queues.url(NAMES.queue("loader"))
    for target in (url, queues.url(NAMES.dead_letter_queue("loader"))):
        queues.sqs.send_message(
            QueueUrl=target,
            MessageBody=load(Q1),
            MessageGroupId="call_reports.rc",
            MessageDeduplicationId=original,
        )
    queues.drain("loader")
    await bench.look()

    await replay_all(bench)

    (message,) = queues.drain("loader")
    assert message["Attributes"]["MessageDeduplicationId"] != original


async def test_a_fifo_replay_that_would_break_the_order_is_refused(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, [Parked("loader", load(Q1, run), group="g") for run in ("rc", "rcb")])
    await bench.look()
    first, second = await bench.parked()
    plan = await bench.plan([second], selection="the later one")

    with pytest.raises(deeds.ReplayRefused, match=first.message_id[:8]):
        await deeds.replay(bench, plan, [second], why="test", pace=FAST)
    assert queues.parked() == 2

    result = await deeds.replay(bench, plan, [second], why="test", pace=FAST, allow_reorder=True)
    assert result.tally.by_state == {"done": 1}


async def test_an_edit_must_fit_its_contract_and_keeps_the_original(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    await bench.look()
    (message,) = await bench.parked()

    with pytest.raises(InvalidEdit, match=r"payload\.period"):
        await deeds.edit(bench, message, with_values(message.body, ["payload.period=x"]), why="w")
    await deeds.edit(bench, message, with_values(message.body, ["payload.period=2013Q2"]), why="w")

    await bench.look()
    (edited,) = await bench.parked()
    assert (edited.body, edited.period) == (message.body, "2013Q2")
    await replay_all(bench)
    (sent,) = queues.drain("collector")
    assert json.loads(sent["Body"])["payload"]["period"] == "2013Q2"


async def test_a_plan_that_is_no_longer_true_is_refused(bench: Workbench, queues: Queues) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    await bench.look()
    (message,) = await bench.parked()
    plan = await bench.plan([message], selection="one")
    edited = await deeds.edit(bench, message, collect(Q2), why="other quarter")

    with pytest.raises(deeds.ReplayRefused, match="edited since"):
        await deeds.replay(bench, plan, [edited], why="test", pace=FAST)


async def test_a_purge_archives_first_and_the_archive_can_be_replayed(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, parked_messages(12))
    await bench.look()
    doomed = await bench.parked(Filter(error="PageChanged"))

    purged = await deeds.purge(bench, doomed, why="obsolete", selection="one kind", pace=FAST)

    assert queues.parked() == 11
    kept = await read_archive(bench.lake, purged.entry.plan or "")
    assert kept == doomed
    plan = await bench.plan(kept, selection="archive")
    await deeds.replay(bench, plan, kept, why="needed after all", pace=FAST, archived=True)
    assert [message["Body"] for message in queues.drain("collector")] == [doomed[0].body]


async def test_a_rescue_archives_what_expires_and_leaves_it(
    bench: Workbench, queues: Queues
) -> None:
    park(queues.sqs, parked_messages(12))
    await bench.look()

    assert await deeds.rescue(bench, within=timedelta(days=13), why="test") is None
    entry = await deeds.rescue(bench, within=timedelta(days=14), why="test")

    assert entry is not None
    assert len(await read_archive(bench.lake, entry.plan or "")) == queues.parked() == 12


async def test_every_deed_is_in_the_audit_table(bench: Workbench, queues: Queues) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1)), Parked("collector", collect(Q2))])
    await bench.look()
    first, second = await bench.parked()

    await deeds.edit(bench, first, collect(Period(2014, 1)), why="wrong quarter")
    await deeds.purge(bench, [second], why="not needed", selection="one", pace=FAST)
    await replay_all(bench)

    entries = await bench.audit.entries(limit=3)
    assert [entry.deed for entry in entries] == ["replay", "purge", "edit"]
    assert [entry.outcome for entry in entries] == ["1 done", "1 done", "edited"]
    assert {entry.who for entry in entries} == {bench.who}
    for entry in entries:
        assert await bench.lake.get(entry.plan or "")


async def test_an_emulator_without_move_tasks_says_so(bench: Workbench, queues: Queues) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    origin = (await bench.origins())[NAMES.dead_letter_queue("collector")]

    with pytest.raises(MoveNotOffered):
        await deeds.redrive(bench, origin, per_second=None, why="test")
    assert queues.parked() == 1


@contextmanager
def sqs_that_moves(asked: list[dict[str, Any]]) -> Iterator[str]:
    """A server that answers the calls of a move as AWS documents them, and keeps what it got."""
    answers = {
        "GetQueueUrl": {"QueueUrl": "http://127.0.0.1/q"},
        "GetQueueAttributes": {
            "Attributes": {
                "ApproximateNumberOfMessages": "7",
                "ApproximateNumberOfMessagesNotVisible": "0",
                "MessageRetentionPeriod": "1209600",
                "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q",
            }
        },
        "StartMessageMoveTask": {"TaskHandle": "handle-1"},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            action = self.headers["X-Amz-Target"].rsplit(".", 1)[-1]
            asked.append({"action": action, **body})
            answer = json.dumps(answers[action]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name it has
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_where_sqs_offers_it_a_whole_queue_is_moved_by_sqs_itself() -> None:
    asked: list[dict[str, Any]] = []
    with sqs_that_moves(asked) as endpoint, pointed_at(endpoint):
        async with open_clients() as clients:
            dead_letters = SqsDeadLetters(clients.sqs, NAMES)
            (origin, *_) = await dead_letters.origins()
            handle = await dead_letters.move(origin, per_second=50)

    assert handle == "handle-1"
    arn = "arn:aws:sqs:us-east-1:000000000000:q"
    assert asked[-1] == {
        "action": "StartMessageMoveTask",
        "SourceArn": arn,
        "DestinationArn": arn,
        "MaxNumberOfMessagesPerSecond": 50,
    }
