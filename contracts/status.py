"""What a run's status is made of: one record per stage and part, overwritten in place."""

from typing import Literal

from pydantic import AwareDatetime, Field

from contracts.model import Contract

Stage = Literal["generator", "collector", "processor", "loader"]
StepStatus = Literal["started", "retrying", "done", "parked"]


class StepRecord(Contract):
    """The latest word of one stage about one part (`2013Q1`, `2013Q1/call_reports.rc`)."""

    run_id: str = Field(
        description="The run; together with stage and part, the key.", examples=["run-1"]
    )
    stage: Stage = Field(description="The service that says this.")
    part: str = Field(
        description="The piece of the run: a quarter, a table of a quarter, or `all`.",
        examples=["2013Q1/call_reports.rc"],
    )
    status: StepStatus = Field(description="How far the stage is with the part.")
    dataset: str = Field(description="What is being pulled.", examples=["call_reports"])
    message_id: str = Field(
        description="The message that asked for the work.",
        examples=["c4d9f6ce-98f1-5ad8-b0a4-1f58a7a0f3a1"],
    )
    sent_at: AwareDatetime | None = Field(
        default=None,
        description="When that message was made.",
        examples=["2026-11-21T08:59:58Z"],
    )
    started_at: AwareDatetime = Field(
        description="When the latest attempt began.", examples=["2026-11-21T09:00:00Z"]
    )
    finished_at: AwareDatetime | None = Field(
        default=None, description="When it ended.", examples=["2026-11-21T09:00:03Z"]
    )
    attempt: int = Field(default=1, ge=1, description="Counts deliveries from 1.", examples=[1])
    counts: dict[str, int] = Field(
        default_factory=dict,
        description="files, bytes, tables, rows, quarantined, …",
        examples=[{"rows": 6922, "quarantined": 0}],
    )
    expects: tuple[str, ...] = Field(
        default=(), description="Parts this step has sent on to the next stage."
    )
    warnings: tuple[str, ...] = Field(default=(), description="Facts an operator should know.")
    outcome: str | None = Field(default=None, description="loaded, unchanged, …")
    reason: str | None = Field(default=None, description="Why it was parked or is retried.")
    trace: str | None = Field(
        default=None,
        description="The trace that leads from the run's entry to its commits.",
        examples=["Root=1-5759e988-bd862e3fe1be46a994272793"],
    )

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt, once it ended."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()
