"""`quarry dlq` as a person runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contracts import Period
from ops.cli import build_app
from ops.errors import CommandFailed
from tests.dlq_bench import Queues, pointed_at
from tests.parked import Parked, collect, load, park, parked_messages

Q1 = Period(2013, 1)


class Quarry:
    """The command in this process, pointed at an emulator, with a store of its own."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.folder = folder

    def run(self, *arguments: str, refuses: bool = False, **variables: str) -> Result:
        where = {"QUARRY_HOME": str(self.folder), "COLUMNS": "200", **variables}
        with pointed_at(self.endpoint, **where):
            ended = CliRunner().invoke(build_app("dlq"), ["dlq", *arguments])
        assert (ended.exception is not None) == refuses, ended.output
        if refuses:
            assert isinstance(ended.exception, CommandFailed), ended.output
        return ended

    def refusal(self, *arguments: str) -> str:
        return str(self.run(*arguments, refuses=True).exception)


@pytest.fixture
def queues(emulator_url: str) -> Queues:
    found = Queues.at(emulator_url)
    found.empty()
    return found


@pytest.fixture
def quarry(emulator_url: str, tmp_path: Path) -> Quarry:
    return Quarry(emulator_url, tmp_path)


def test_list_names_every_queue_and_groups_the_failures(quarry: Quarry, queues: Queues) -> None:
    park(queues.sqs, parked_messages(24))

    listed = json.loads(quarry.run("list", "--json").stdout)

    assert len(listed["queues"]) == 5
    assert sum(queue["seen"] for queue in listed["queues"]) == 24
    assert [group["count"] for group in listed["groups"]] == [2] * 12
    shown = quarry.run("list").stdout
    assert "PageChanged" in shown
    assert "<script>" in shown


def test_show_filters_and_prints_one_message_whole(quarry: Quarry, queues: Queues) -> None:
    park(queues.sqs, parked_messages(12))

    found = json.loads(
        quarry.run(
            "show", "--service", "loader", "--where", "payload.table=='rcb'", "--json"
        ).stdout
    )

    assert [message["error_type"] for message in found] == ["TransientError"]
    whole = quarry.run("show", found[0]["message_id"][:8]).stdout
    assert '"table": "rcb"' in whole
    assert "Traceback" in whole
    assert queues.parked() == 12


def test_a_message_is_edited_planned_and_replayed(
    quarry: Quarry, queues: Queues, tmp_path: Path
) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    (message,) = json.loads(quarry.run("show", "--json").stdout)
    one = message["message_id"]
    assert "payload.period" in quarry.refusal("edit", one, "--set", "payload.period=2013Q9")

    quarry.run("edit", one, "--set", "payload.period=2013Q3", "--why", "typing error")
    plan = tmp_path / "plan.json"
    assert "collector" in quarry.run("plan", "--out", str(plan)).stdout
    replayed = quarry.run("replay", "--plan", str(plan), "--why", "fixed", "--yes").stdout

    assert "1 done" in replayed
    (sent,) = queues.drain("collector")
    assert json.loads(sent["Body"])["payload"]["period"] == "2013Q3"
    audit = json.loads(quarry.run("audit", "--limit", "2", "--json").stdout)
    assert [(entry["deed"], entry["why"]) for entry in audit] == [
        ("replay", "fixed"),
        ("edit", "typing error"),
    ]


def test_a_message_is_edited_in_the_editor(quarry: Quarry, queues: Queues, tmp_path: Path) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    (message,) = json.loads(quarry.run("show", "--json").stdout)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/2013Q1/2014Q4/ "$1"\n')
    editor.chmod(0o755)

    quarry.run("edit", message["message_id"], EDITOR=str(editor))

    (edited,) = json.loads(quarry.run("show", "--json").stdout)
    assert (edited["period"], edited["body"]) == ("2014Q4", message["body"])


def test_a_replay_that_would_break_an_order_is_refused(quarry: Quarry, queues: Queues) -> None:
    park(queues.sqs, [Parked("loader", load(Q1, table), group="g") for table in ("rc", "rcb")])

    refusal = quarry.refusal("replay", "--where", "payload.table=='rcb'", "--why", "x", "--yes")

    assert "--allow-reorder" in refusal
    assert queues.parked() == 2


def test_purge_rescue_and_redrive(quarry: Quarry, queues: Queues) -> None:
    park(queues.sqs, parked_messages(12))

    assert "1 done" in quarry.run("purge", "--error", "PageChanged", "--why", "old", "-y").stdout
    assert "11 messages archived" in quarry.run("rescue", "--hours", "400").stdout
    redriven = quarry.run("redrive", "processor", "--why", "all again")
    assert "3 done" in redriven.stdout
    assert "quarry dlq replay --service loader" in quarry.refusal("redrive", "loader", "--why", "x")
    assert len(queues.drain("processor")) == 3


def test_what_was_rescued_is_replayed_from_the_archive_when_its_queue_has_lost_it(
    quarry: Quarry, queues: Queues
) -> None:
    park(queues.sqs, [Parked("collector", collect(Q1))])
    key = quarry.run("rescue", "--hours", "400").stdout.split("archived: ")[1].strip()
    queues.empty()

    replayed = quarry.run("replay", "--archive", key, "--why", "expired meanwhile", "--yes").stdout

    assert "1 done" in replayed
    assert [message["Body"] for message in queues.drain("collector")] == [collect(Q1)]


def test_with_nothing_to_resume_resume_says_so(quarry: Quarry, queues: Queues) -> None:
    assert queues.parked() == 0
    assert "nothing to resume" in quarry.refusal("resume")


def test_mistakes_are_explained(quarry: Quarry) -> None:
    assert "does not parse" in quarry.refusal("show", "--where", "payload.[")
    assert "write 12h" in quarry.refusal("show", "--since", "soon")
    assert "generator, collector" in quarry.refusal("show", "--service", "nobody")
    assert "0 parked messages" in quarry.refusal("edit", "no-such-message", "--set", "a=1")
