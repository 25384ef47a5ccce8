"""What the REST entry answers. `POST /runs` takes a bare `GenerateRequest`."""

from pydantic import Field

from contracts.envelope import RunId
from contracts.model import Contract
from contracts.status import StepRecord


class RunAccepted(Contract):
    """The request is in the generator's queue; whether it can be done, the run's status tells."""

    run_id: RunId = Field(description="Ask `GET /runs/{run_id}` with it.", examples=["run-1"])


class RunStatus(Contract):
    """Everything known about one run; a run nobody has worked on yet has no steps."""

    run_id: RunId = Field(description="The run asked for.", examples=["run-1"])
    steps: tuple[StepRecord, ...] = Field(description="The latest word of each stage and part.")


class Refusal(Contract):
    """Why the request was not accepted."""

    reason: str = Field(
        description="A sentence that names the field.",
        examples=["start_quarter: Input should be less than or equal to 4"],
    )
