"""Editing a message, and saying what its replay would do."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from contracts import LoadTable, Period
from ops.dlq.edit import InvalidEdit, contract_problem, with_values
from ops.dlq.message import ParkedMessage
from ops.dlq.order import AppliedLoad, left_behind, newer_load
from ops.dlq.plan import Foresight, Plan, RowDifference, make_plan, outgoing_body
from shared.errors import TransientError
from tests.dead_letters import COLLECTOR, GENERATOR, LOADER, parked
from tests.parked import SENT_AT, collect, load, load_table
from tests.unit.test_dlq_looking import RULE

ORIGINS = {origin.queue: origin for origin in (GENERATOR, COLLECTOR, LOADER)}
Q1, Q2 = Period(2013, 1), Period(2013, 2)


@dataclass
class FakeLedger:
    """Loads in place, for whatever table is asked."""

    loads: list[AppliedLoad] = field(default_factory=list)
    away: bool = False

    async def is_in(self, load_id: UUID) -> bool:
        if self.away:
            raise TransientError("PostgreSQL: connection refused")
        return any(one.load_id == load_id for one in self.loads)

    async def applied(self, schema: str, table: str) -> Sequence[AppliedLoad]:
        del schema, table
        return self.loads


async def three_rows(wanted: LoadTable) -> RowDifference:
    return RowDifference(outcome="loaded", rows=wanted.rows, inserted=1, updated=2, deleted=3)


async def planned(
    *messages: ParkedMessage,
    ledger: FakeLedger | None = None,
    also_parked: Sequence[ParkedMessage] = (),
) -> Plan:
    return await make_plan(
        messages,
        parked=[*messages, *also_parked],
        origins=ORIGINS,
        foresight=Foresight(ledger, three_rows) if ledger else None,
        env="local",
        selection="test",
    )


def applied(load: LoadTable, *, hours: int, period: Period | None = None) -> AppliedLoad:
    at = load.as_of + timedelta(hours=hours)
    return AppliedLoad(uuid4(), "later-run", str(period or load.period), at)


def test_a_value_is_set_by_its_path_as_json_or_as_text() -> None:
    body = with_values(collect(Q1), ["payload.period=2013Q2", "payload.offset=-3"])

    payload = json.loads(body)["payload"]
    assert (payload["dataset"], payload["period"], payload["offset"]) == (
        "call_reports",
        "2013Q2",
        -3,
    )


@pytest.mark.parametrize(
    ("body", "assignment", "sentence"),
    [
        ("no json", "a=1", "not a JSON object"),
        ("{}", "a", "not path=value"),
        ("{}", "a.b=1", "no object at 'a'"),
        ('{"a": [1]}', "a.[.b=1", "not a path"),
    ],
)
def test_a_change_that_leads_nowhere_is_refused(body: str, assignment: str, sentence: str) -> None:
    with pytest.raises(InvalidEdit, match=sentence):
        with_values(body, [assignment])


def test_a_body_that_its_service_would_refuse_names_the_field() -> None:
    body = with_values(collect(Q1), ["payload.period=2013Q9"])

    assert "payload.period" in (contract_problem("collector", body) or "")
    assert contract_problem("collector", collect(Q1)) is None


def test_the_generator_takes_a_bare_request_and_no_other_service_does() -> None:
    bare = '{"dataset": "call_reports"}'

    assert contract_problem("generator", bare) is None
    assert contract_problem("collector", bare) is not None


async def test_a_message_that_would_be_refused_again_is_not_replayable() -> None:
    plan = await planned(parked(1, body="{"), parked(2, body=collect(Q1)))

    assert [one.message_id for one in plan.replayable] == ["0002-collector"]
    assert "left where it is" in plan.messages[0].effect


async def test_an_edited_body_is_what_is_planned() -> None:
    (one,) = (await planned(parked(1, body="{", edited_body=collect(Q1)))).messages

    assert one.edited
    assert one.problem is None
    assert one.period == "2013Q1"


async def test_a_load_in_the_ledger_has_no_effect() -> None:
    wanted = load_table(Q1)
    ledger = FakeLedger([AppliedLoad(wanted.load_id, "run", "2013Q1", SENT_AT)])

    (one,) = (await planned(parked(1, LOADER, body=load(Q1)), ledger=ledger)).messages

    assert one.in_ledger
    assert one.effect == "no effect: its load is in the ledger already"
    assert one.order_risk is None


async def test_a_load_shows_its_row_difference() -> None:
    (one,) = (await planned(parked(1, LOADER, body=load(Q1)), ledger=FakeLedger())).messages

    assert one.in_ledger is False
    assert one.effect == "+1 ~2 -3 rows in call_reports.rc"


async def test_a_newer_load_in_the_table_is_named_as_an_order_risk() -> None:
    newer = applied(load_table(Q1), hours=1)

    plan = await planned(parked(1, LOADER, body=load(Q1)), ledger=FakeLedger([newer]))

    assert str(newer.load_id) in (plan.risks[0].order_risk or "")


async def test_with_the_database_away_the_plan_says_what_it_does_not_know() -> None:
    plan = await planned(parked(1, LOADER, body=load(Q1)), ledger=FakeLedger(away=True))

    assert plan.messages[0].in_ledger is None
    assert "connection refused" in plan.messages[0].effect


async def test_an_earlier_message_of_the_group_that_stays_parked_is_an_order_risk() -> None:
    first = parked(1, LOADER, body=load(Q1), group="call_reports.rc")
    second = parked(2, LOADER, body=load(Q1), group="call_reports.rc")

    plan = await planned(second, also_parked=[first])

    assert first.message_id[:8] in (plan.risks[0].order_risk or "")
    assert (await planned(first, second)).risks == []


def test_another_quarter_of_a_table_replaced_by_quarter_is_no_risk() -> None:
    wanted = load_table(Q1)

    assert newer_load(wanted, [applied(wanted, hours=1, period=Q2)]) is None
    merging = load_table(Q1, mode="merge")
    assert newer_load(merging, [applied(merging, hours=1, period=Q2)]) is not None
    other = parked(1, LOADER, body=load(Q2), group="rc")
    assert left_behind(parked(2, LOADER, body=load(Q1), group="rc"), [other], ()) is None


def test_an_older_load_is_no_risk() -> None:
    wanted = load_table(Q1)

    assert newer_load(wanted, [applied(wanted, hours=-1)]) is None


def test_an_undelivered_event_is_replayed_as_its_detail() -> None:
    detail = json.loads(collect(Q1))
    message = parked(1, RULE, body=json.dumps({"detail-type": "FolderComplete", "detail": detail}))

    assert json.loads(outgoing_body(message, RULE)) == detail


def test_a_plan_survives_its_file() -> None:
    plan = Plan(plan_id="p", env="local", made_at=SENT_AT, selection="all", messages=())

    assert Plan.model_validate_json(plan.model_dump_json()) == plan
