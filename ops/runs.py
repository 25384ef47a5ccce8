"""Every run the run log knows, newest first."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, get_args

from contracts import Stage, StepRecord
from ops.run_progress import RunProgress, fold
from shared.aws import aws_errors

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

_STAGES: frozenset[str] = frozenset(get_args(Stage))


@dataclass(frozen=True)
class Run:
    """A run with its steps in the order in which they began; `steps` is never empty."""

    run_id: str
    steps: tuple[StepRecord, ...]

    @property
    def progress(self) -> RunProgress:
        """How far it is."""
        return fold(self.run_id, self.steps)

    @property
    def dataset(self) -> str:
        """What it pulls."""
        return self.steps[0].dataset

    @property
    def started_at(self) -> datetime:
        """When its first step began."""
        return self.steps[0].started_at

    @property
    def trace(self) -> str | None:
        """The trace id its messages carry, if they carry one."""
        return next((step.trace for step in self.steps if step.trace), None)

    @property
    def quarters(self) -> int:
        """How many quarters it is about; 0 for a dataset that has none."""
        return sum("Q" in folder.part for folder in self.progress.folders)

    @property
    def rows(self) -> int:
        """Rows of its committed loads."""
        return sum(self.progress.rows_by_table.values())


def runs_of(steps: Sequence[StepRecord]) -> list[Run]:
    """Sort steps into runs, the run that began last first."""
    by_run: dict[str, list[StepRecord]] = defaultdict(list)
    for step in steps:
        by_run[step.run_id].append(step)
    runs = [
        Run(run_id, tuple(sorted(own, key=lambda step: (step.started_at, step.part))))
        for run_id, own in by_run.items()
    ]
    return sorted(runs, key=lambda run: run.started_at, reverse=True)


async def read_steps(dynamodb: "DynamoDBClient", table: str) -> list[StepRecord]:
    """Read the whole run log; it forgets a run after 400 days."""
    found: list[StepRecord] = []
    with aws_errors("reading the run log"):
        pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        async for page in pages:
            # Leases of a source and audit entries lie in the same table.
            found.extend(
                StepRecord.model_validate_json(item["body"]["S"])
                for item in page["Items"]
                if item["step"]["S"].partition("#")[0] in _STAGES
            )
    return found
