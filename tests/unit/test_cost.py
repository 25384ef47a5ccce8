from dataclasses import replace

import pytest

from infra.names import SERVICES
from infra.settings import DatabaseSettings, settings_for
from ops.cost import HOURS_A_MONTH, Workload, awake_hours, estimate, workload_of
from ops.doctor import committed_templates
from ops.prices import PRICES

PROD = settings_for("prod")
NOTHING = Workload(quarters=0, incremental_runs=0)


def database() -> DatabaseSettings:
    assert PROD.database is not None
    return PROD.database


def test_an_idle_database_costs_storage_only() -> None:
    assert awake_hours(database(), NOTHING) == 0


def test_a_database_that_may_not_pause_is_awake_all_month() -> None:
    assert awake_hours(replace(database(), min_acu=0.5), NOTHING) == HOURS_A_MONTH


def test_loads_closer_than_the_pause_keep_the_database_awake_all_month() -> None:
    busy = Workload(quarters=0, incremental_runs=12 * HOURS_A_MONTH)

    assert awake_hours(database(), busy) == HOURS_A_MONTH


def test_the_restatement_schedule_is_part_of_the_workload() -> None:
    work = workload_of(PROD, collections_a_year=4, hourly=0)

    assert work.quarters == pytest.approx(4 / 12 + 8)


def test_the_bill_has_the_functions_and_the_alarms_of_the_templates() -> None:
    lines = estimate(PROD, committed_templates("prod"), NOTHING)

    whats = [line.what for line in lines]
    assert {f"{service} function" for service in SERVICES} <= set(whats)
    (alarms,) = (line for line in lines if line.what.startswith("alarms"))
    templates = committed_templates("prod").values()
    assert alarms.quantity == sum(len(t.resources("AWS::CloudWatch::Alarm")) for t in templates)
    assert alarms.quantity >= 4 * len(SERVICES)


def test_the_whole_bill_is_the_sum_of_quantity_times_price() -> None:
    lines = estimate(PROD, committed_templates("prod"), NOTHING)

    assert all(line.dollars == line.quantity * line.price.dollars for line in lines)
    assert sum(line.dollars for line in lines) > 0


def test_an_environment_without_a_database_has_no_bill() -> None:
    with pytest.raises(ValueError, match="no database"):
        estimate(settings_for("local"), {}, NOTHING)


def test_every_price_has_a_source_that_can_be_looked_up_and_a_date() -> None:
    for name, price in PRICES.items():
        assert "." in price.source.split("/")[0], name
        assert "remembered" not in price.source, name
        assert price.seen, name
