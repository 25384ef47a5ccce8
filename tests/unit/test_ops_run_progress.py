from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts import Stage, StepRecord
from contracts.status import StepStatus
from ops.run_progress import fold
from ops.run_report import report
from ops.watch import Ended

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def step(
    stage: Stage,
    part: str,
    status: StepStatus = "done",
    *,
    begins: float = 0,
    lasts: float = 1,
    expects: tuple[str, ...] = (),
    counts: dict[str, int] | None = None,
    warnings: tuple[str, ...] = (),
    reason: str | None = None,
) -> StepRecord:
    started = START + timedelta(seconds=begins)
    return StepRecord(
        run_id="run",
        stage=stage,
        part=part,
        status=status,
        dataset="call_reports",
        message_id="m",
        started_at=started,
        finished_at=None if status == "started" else started + timedelta(seconds=lasts),
        expects=expects,
        counts=counts or {},
        warnings=warnings,
        reason=reason,
    )


GENERATED = step("generator", "all", expects=("2013Q1", "2013Q2"))


def whole_quarter(period: str, *, begins: float = 0) -> list[StepRecord]:
    tables = (f"{period}/call_reports.rc", f"{period}/call_reports.por")
    return [
        step("collector", period, begins=begins, lasts=2, counts={"files": 49}),
        step(
            "processor",
            period,
            begins=begins + 2,
            lasts=3,
            expects=tables,
            counts={"tables": 2, "rows": 30, "quarantined": 1},
        ),
        step("loader", tables[0], begins=begins + 5, lasts=1, counts={"rows": 10}),
        step("loader", tables[1], begins=begins + 5, lasts=4, counts={"rows": 20}),
    ]


def test_a_run_nobody_has_touched_waits() -> None:
    assert fold("run", []).state == "waiting"


def test_a_run_is_finished_when_every_expected_load_is_committed() -> None:
    steps = [GENERATED, *whole_quarter("2013Q1"), *whole_quarter("2013Q2", begins=5)]
    assert fold("run", steps).state == "finished"


def test_a_run_goes_on_while_one_load_is_missing() -> None:
    steps = [GENERATED, *whole_quarter("2013Q1"), *whole_quarter("2013Q2")[:-1]]
    progress = fold("run", steps)
    assert progress.state == "running"
    assert (progress.folders[1].loader.done, progress.folders[1].loader.expected) == (1, 2)


def test_a_quarter_nobody_has_collected_yet_is_shown_as_waiting() -> None:
    progress = fold("run", [GENERATED])
    assert [folder.part for folder in progress.folders] == ["2013Q1", "2013Q2"]
    assert progress.folders[0].collector.state == "waiting"


def test_a_parked_quarter_ends_the_run_only_when_the_others_have_ended() -> None:
    parked = step("collector", "2013Q2", "parked", reason="PeriodNotOffered: not listed")
    still_going = [GENERATED, parked, *whole_quarter("2013Q1")[:-1]]
    ended = [GENERATED, parked, *whole_quarter("2013Q1")]
    assert fold("run", still_going).state == "running"
    assert fold("run", ended).state == "parked"
    assert fold("run", ended).parked[0].reason == "PeriodNotOffered: not listed"


def test_a_parked_load_does_not_hide_that_other_loads_still_run() -> None:
    quarter = whole_quarter("2013Q1")
    quarter[2] = step("loader", "2013Q1/call_reports.rc", "parked", reason="SchemaMismatch: x")
    generated = step("generator", "all", expects=("2013Q1",))
    assert fold("run", [generated, *quarter[:-1]]).state == "running"
    assert fold("run", [generated, *quarter]).state == "parked"


def test_a_refused_request_parks_the_run() -> None:
    refused = step("generator", "all", "parked", reason="InvalidRequest: start is after end")
    assert fold("run", [refused]).state == "parked"


def test_a_retried_stage_says_why() -> None:
    retried = step("collector", "2013Q1", "retrying", reason="SourceUnavailable: 503")
    collector = fold("run", [GENERATED, retried]).folders[0].collector
    assert collector.state == "retrying"
    assert collector.retry_reason == "SourceUnavailable: 503"


def test_a_processed_folder_without_tables_is_finished() -> None:
    steps = [
        step("generator", "all", expects=("2013Q1",)),
        step("collector", "2013Q1"),
        step("processor", "2013Q1"),
    ]
    assert fold("run", steps).state == "finished"


def test_a_warning_passed_from_stage_to_stage_is_told_once() -> None:
    warning = "RCO is incomplete: part 1 of 2 is missing"
    steps = [
        step("generator", "all", expects=("2020Q3",)),
        step("collector", "2020Q3", warnings=(warning,)),
        step("processor", "2020Q3", warnings=(warning,)),
    ]
    assert fold("run", steps).warnings == (f"2020Q3: {warning}",)


def test_a_warning_that_names_its_quarter_is_not_given_it_again() -> None:
    named = "call_reports 2020Q3: RCO is incomplete"
    steps = [
        step("generator", "all", expects=("2020Q3",), warnings=("40 quarters at once",)),
        step("collector", "2020Q3", warnings=(named,)),
    ]
    assert fold("run", steps).warnings == ("40 quarters at once", named)


def test_the_seconds_of_a_stage_run_from_its_first_start_to_its_last_end() -> None:
    steps = [GENERATED, *whole_quarter("2013Q1")]
    assert fold("run", steps).folders[0].loader.seconds == 4


def test_the_report_adds_rows_per_table_over_all_quarters() -> None:
    steps = [GENERATED, *whole_quarter("2013Q1"), *whole_quarter("2013Q2")]
    document = report(Ended("finished", fold("run", steps)))
    assert document["tables"] == {"call_reports.por": 40, "call_reports.rc": 20}
    assert document["quarantined"] == 2
    assert document["quarters"]["2013Q1"] == {"collector": 2.0, "processor": 3.0, "loader": 4.0}


@given(st.permutations([GENERATED, *whole_quarter("2013Q1"), *whole_quarter("2013Q2")]))
def test_the_order_in_which_records_are_read_makes_no_difference(steps: list[StepRecord]) -> None:
    progress = fold("run", steps)
    assert progress.state == "finished"
    assert progress.rows_by_table == {"call_reports.por": 40, "call_reports.rc": 20}
    assert progress.seconds == 9


@given(st.sets(st.integers(0, 8)))
def test_a_run_with_any_record_missing_is_never_called_finished(kept: set[int]) -> None:
    everything = [GENERATED, *whole_quarter("2013Q1"), *whole_quarter("2013Q2")]
    steps = [everything[index] for index in kept]
    loads_complete = len(kept) == len(everything)
    # A quarter whose loads are all in has ended, even if a record of an earlier stage is late.
    without_collectors = set(range(9)) - {1, 5} <= kept
    assert (fold("run", steps).state == "finished") == (loads_complete or without_collectors)


def test_a_run_whose_source_has_nothing_new_is_finished() -> None:
    found = step("collector", "all").model_copy(update={"outcome": "nothing_new"})
    assert fold("run", [step("generator", "all", expects=("all",)), found]).state == "finished"
