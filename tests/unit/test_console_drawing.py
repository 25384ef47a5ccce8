"""What the console's pages are made of, without a page."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from contracts import Period
from infra.names import Names, Service
from ops.console.cloudwatch import CloudWatch, Reading
from ops.console.drawing import WIDTH, Growth, highlighted, timeline
from ops.console.gauges import Gauges
from ops.console.heat import Cell, heat_maps
from ops.console.page import ago, gauge, number, seconds
from ops.console.picture import Depths, Station, stations
from ops.console.pulse import rest_seconds
from shared.metrics import SHOWN
from tests.unit.test_runs import AT, step

TEMPLATES = Path(__file__).parents[2] / "infra" / "templates"
TODAY = Period(2014, 2)
IDLE = Depths(0, 0, 0)


def cell(period: str, *steps: object) -> Cell:
    (heat,) = heat_maps(steps, TODAY)  # type: ignore[arg-type]  # steps of this module
    wanted = Period.parse(period)
    return heat.rows[wanted.quarter - 1][heat.years.index(wanted.year)]


def quarter(run: str, minute: int, outcome: str = "loaded", **loader: object) -> list[object]:
    load = "2013Q1/call_reports.rc"
    return [
        step(run, "generator", minute, expects=("2013Q1",)),
        step(run, "collector", minute + 1),
        step(run, "processor", minute + 2, expects=(load,)),
        step(run, "loader", minute + 3, part=load, outcome=outcome, **loader),
    ]


def test_the_map_goes_from_the_first_known_year_to_todays() -> None:
    (heat,) = heat_maps([step("r", "collector", 0)], TODAY)

    assert heat.years == (2013, 2014)
    assert [len(row) for row in heat.rows] == [2, 2, 2, 2]


def test_a_quarter_is_missing_then_collecting_then_partial_then_loaded() -> None:
    loads = ("2013Q1/call_reports.rc", "2013Q1/call_reports.ri")
    generator = step("r", "generator", 0, expects=("2013Q1",))
    processor = step("r", "processor", 2, expects=loads)
    first, second = (step("r", "loader", 3, part=part, outcome="loaded") for part in loads)

    assert cell("2013Q2", generator).state == "missing"
    assert cell("2013Q1", generator).state == "collecting"
    assert cell("2013Q1", generator, processor).state == "collecting"
    assert cell("2013Q1", generator, processor, first).state == "partial"
    assert cell("2013Q1", generator, processor, first, second).state == "loaded"


def test_a_quarter_that_parked_has_failed_until_a_later_run_loads_it() -> None:
    failed = [*quarter("a", 0)[:2], step("a", "processor", 2, status="parked")]

    assert cell("2013Q1", *failed).state == "failed"
    again = cell("2013Q1", *failed, *quarter("b", 10))
    assert (again.state, again.run_id) == ("loaded", "b")


def test_a_quarter_loaded_with_other_content_is_restated_and_with_the_same_is_not() -> None:
    assert cell("2013Q1", *quarter("a", 0), *quarter("b", 10)).state == "restated"
    same = quarter("b", 10, outcome="unchanged")
    assert cell("2013Q1", *quarter("a", 0), *same).state == "loaded"


def station(
    service: Service,
    depths: Depths,
    *steps: object,
    minute: int = 5,
    reading: Reading = Reading(),  # noqa: B008  # frozen
) -> Station:
    every: dict[Service, Depths] = dict.fromkeys(
        ("generator", "collector", "processor", "loader"), IDLE
    )
    every[service] = depths
    now = AT + timedelta(minutes=minute)
    found = stations(every, steps, reading, now)  # type: ignore[arg-type]  # steps of this module
    return next(one for one in found if one.service == service)


def test_the_oldest_message_waits_since_the_step_that_sent_it() -> None:
    generator = step("r", "generator", 0, expects=("2013Q1", "2013Q2"))
    begun = step("r", "collector", 1)

    waiting = station("collector", Depths(1, 0, 0), generator, begun)
    assert waiting.oldest == generator.finished_at
    second = step("r", "collector", 2, part="2013Q2")
    assert station("collector", Depths(1, 0, 0), generator, begun, second).oldest is None
    assert station("collector", IDLE, generator, begun).oldest is None


def test_a_message_that_cloudwatch_sees_is_as_old_as_it_says() -> None:
    since = AT + timedelta(minutes=1)
    reading = Reading(oldest={"generator": since})

    assert station("generator", Depths(1, 0, 0), reading=reading).oldest == since
    assert station("generator", Depths(0, 1, 0), reading=reading).oldest == since
    assert station("generator", IDLE, reading=reading).oldest is None


def test_the_run_log_gives_the_metrics_of_the_last_five_minutes() -> None:
    steps = [
        step(str(minute), "collector", minute, sent_at=AT, counts={"rows": 10 * minute})
        for minute in (0, 3, 4)
    ]

    found = station("collector", IDLE, *steps, minute=6).gauges

    assert found.source == "run log"
    assert found.values == {"Done": 2, "Seconds": 30, "AgeSeconds": 240, "Rows": 70}


def test_what_cloudwatch_knows_of_a_service_is_shown_in_place_of_the_run_log() -> None:
    reading = Reading({"collector": Gauges({"Done": 7}, "CloudWatch")})

    assert station("collector", IDLE, step("r", "collector", 4), reading=reading).gauges.values == {
        "Done": 7
    }
    assert station("loader", IDLE, step("r", "loader", 4), reading=reading).gauges.values == {
        "Done": 1,
        "Seconds": 30,
    }


class Metrics:
    """CloudWatch with these values a minute for every service, newest first."""

    def __init__(self, **values: list[float]) -> None:
        self.values = values
        self.asked = 0

    async def get_metric_data(self, **request: Any) -> dict[str, Any]:
        self.asked += 1
        results = []
        for query in request["MetricDataQueries"]:
            name = query["MetricStat"]["Metric"]["MetricName"]
            values = self.values.get(name, [])
            minutes = [request["EndTime"] - timedelta(minutes=2 + at) for at in range(len(values))]
            results.append({"Id": query["Id"], "Timestamps": minutes, "Values": values})
        return {"MetricDataResults": results}


async def test_cloudwatch_is_summed_up_as_the_dashboard_does_and_not_asked_too_often() -> None:
    metrics = Metrics(
        Done=[1, 4], Seconds=[3, 5, 40], AgeSeconds=[9, 90], ApproximateAgeOfOldestMessage=[30, 0]
    )
    cloudwatch = CloudWatch(metrics, Names("prod"), every=timedelta(minutes=1))

    reading = await cloudwatch.read()

    assert reading.gauges["loader"].values == {"Done": 5, "Seconds": 5, "AgeSeconds": 90}
    age = datetime.now(UTC) - reading.oldest["generator"]
    assert timedelta(seconds=29) < age < timedelta(minutes=2)
    assert await cloudwatch.read() is reading
    assert metrics.asked == 1


async def test_where_cloudwatch_does_not_answer_nothing_is_known() -> None:
    class Refusing:
        async def get_metric_data(self, **request: Any) -> None:
            raise EndpointConnectionError(endpoint_url=str(len(request)))

    reading = await CloudWatch(Refusing(), Names("prod"), every=timedelta(0)).read()

    assert reading == Reading()


def test_the_dashboard_shows_no_metric_that_the_console_does_not() -> None:
    template = json.loads((TEMPLATES / "prod" / "Quarry-Shared-prod.template.json").read_text())
    (dashboard,) = (
        one for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Dashboard"
    )
    text = json.dumps(dashboard["Properties"]["DashboardBody"]).replace('\\"', '"')
    named = set(re.findall(r'"Quarry/prod","(\w+)"', text))
    statistics = dict(re.findall(r'"Quarry/prod","(\w+)","service","\w+",\{"stat":"(\w+)"', text))

    assert set(statistics) == named >= {"Done", "Seconds", "AgeSeconds"}
    assert statistics == {name: SHOWN[name] for name in statistics}


def test_the_last_error_is_the_newest_reason() -> None:
    steps = [
        step("a", "loader", 1, status="parked", reason="old"),
        step("b", "loader", 2, status="retrying", reason="new"),
    ]

    found = station("loader", Depths(0, 0, 3), *steps)

    assert found.last_error is not None
    assert found.last_error.reason == "new"
    assert found.mood == "parked"


def test_a_large_run_log_is_read_less_often() -> None:
    assert rest_seconds(5_000) == 0
    assert rest_seconds(130_000) == 130


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 100)), min_size=1, max_size=20))
def test_every_bar_lies_within_the_timeline(times: list[tuple[int, int]]) -> None:
    steps = [
        step(
            "r",
            "loader",
            0,
            part=f"2013Q1/t{at}",
            started_at=AT + timedelta(seconds=start),
            finished_at=AT + timedelta(seconds=start + length),
        )
        for at, (start, length) in enumerate(times)
    ]

    lanes, _ = timeline(steps, AT)

    bars = [bar for lane in lanes for bar in lane.bars]
    assert len(bars) == len(times)
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH + 0.2 for bar in bars)


def test_a_line_of_growth_begins_at_nothing_and_ends_at_the_right() -> None:
    growth = Growth("s", "t", (AT, AT + timedelta(hours=1)), (5, 10))

    first, *_, last = growth.points(width=100, height=10).split()

    assert first == "0.0,10.0"
    assert last == "100.0,2.0"


@given(st.text())
def test_a_highlighted_body_never_holds_a_tag_of_its_own(body: str) -> None:
    html = highlighted(f"<script>{body}</script>")

    assert "<script" not in html
    assert html.count("<span") == html.count("</span>")


def test_a_highlighted_body_marks_keys_texts_numbers_and_words() -> None:
    html = highlighted('{"a": "b<", "n": -1.5e3, "t": true}')

    assert '<span class="j-key">&#34;a&#34;</span>' in html
    assert '<span class="j-text">&#34;b&lt;&#34;</span>' in html
    assert '<span class="j-number">-1500.0</span>' in html
    assert '<span class="j-word">true</span>' in html


@pytest.mark.parametrize(
    ("length", "said"),
    [(0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (18_000, "5 h"), (200_000, "2 d")],
)
def test_lengths_of_time_are_said_in_one_unit(length: float, said: str) -> None:
    assert seconds(length) == said
    now = datetime.now(UTC)
    assert ago(now - timedelta(seconds=length), now) == said


def test_numbers_are_grouped() -> None:
    assert number(377140) == "377\N{NARROW NO-BREAK SPACE}140"


@pytest.mark.parametrize(
    ("value", "name", "said"),
    [
        (None, "Rows", "\N{EN DASH}"),
        (7, "Done", "7"),
        (9_999, "Rows", "9999"),
        (12_345, "Rows", "12.3\N{NARROW NO-BREAK SPACE}k"),
        (46_000_000, "Bytes", "46\N{NARROW NO-BREAK SPACE}MB"),
        (0, "Bytes", "0 B"),
        (1.26, "Seconds", "1.3 s"),
        (240, "AgeSeconds", "4 min"),
    ],
)
def test_a_metric_is_said_in_little_room(value: float | None, name: str, said: str) -> None:
    assert gauge(value, name) == said
