"""The generator's use case: from one request to one command per folder."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from contracts import CollectFolder, Envelope, GenerateRequest, Period
from contracts.datasets import UnknownDataset, dataset_named
from services.generator.periods import periods_of
from shared.consumer import Done
from shared.errors import InvalidRequest

SendCommands = Callable[[Sequence[Envelope[CollectFolder]]], Awaitable[None]]


async def generate(
    envelope: Envelope[GenerateRequest],
    *,
    send: SendCommands,
    now: Callable[[], datetime],
    max_periods: int,
) -> Done:
    """Send one `CollectFolder` per quarter, or one in all for a dataset without quarters.

    Message ids come from run and quarter, so a repeated request repeats the same commands.

    Raises:
        InvalidRequest: the dataset is unknown or the range makes no sense.
    """
    moment = now()
    payloads = folders_of(envelope.payload, moment=moment, max_periods=max_periods)
    commands = [
        Envelope[CollectFolder].wrap(
            payload, run_id=envelope.run_id, trace=envelope.trace, sent_at=moment
        )
        for payload in payloads
    ]
    await send(commands)
    return Done(
        counts={"folders": len(commands)}, expects=tuple(payload.part for payload in payloads)
    )


def folders_of(
    request: GenerateRequest, *, moment: datetime, max_periods: int
) -> list[CollectFolder]:
    """Return what is to be collected, seen from `moment`.

    Raises:
        InvalidRequest: the dataset is unknown or the range makes no sense.
    """
    try:
        dataset = dataset_named(request.dataset)
    except UnknownDataset as error:
        raise InvalidRequest(str(error)) from error
    if request.max_items is not None and dataset.source.kind != "dynamodb":
        raise InvalidRequest(f"max_items: {dataset.name} has no scanned tables")
    if request.save_csv and dataset.format == "star_schema":
        raise InvalidRequest(f"save_csv: {dataset.name} comes as packets, not as tables")
    whole = CollectFolder(
        dataset=dataset.name, max_items=request.max_items, save_csv=request.save_csv
    )
    current = Period.of(moment.date())
    periods = periods_of(request, dataset, current=current, max_periods=max_periods)
    return [
        whole.model_copy(update={"period": period, "offset": period.offset_from(current)})
        for period in periods
    ] or [whole]
