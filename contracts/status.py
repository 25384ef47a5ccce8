"""What a run's status is made of: one record per stage and part, overwritten in place."""

from typing import Literal

from pydantic import AwareDatetime, Field

from contracts.model import Contract

Stage = Literal["generator", "collector", "processor", "loader"]
StepStatus = Literal["started", "retrying", "done", "parked"]


class StepRecord(Contract):
    """The latest word of one stage about one part (`2013Q1`, `2013Q1/call_reports.rc`)."""

    run_id: str
    stage: Stage
    part: str
    status: StepStatus
    dataset: str
    message_id: str
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    attempt: int = Field(default=1, ge=1)
    counts: dict[str, int] = Field(
        default_factory=dict, description="files, bytes, tables, rows, quarantined, …"
    )
    expects: tuple[str, ...] = Field(
        default=(), description="Parts this step has sent on to the next stage."
    )
    warnings: tuple[str, ...] = ()
    outcome: str | None = Field(default=None, description="loaded, unchanged, …")
    reason: str | None = Field(default=None, description="Why it was parked or is retried.")

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt, once it ended."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()
