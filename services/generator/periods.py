"""Which quarters a request asks for. Pure: today comes in as a parameter."""

from contracts import Dataset, GenerateRequest, Period
from shared.errors import InvalidRequest


def periods_of(
    request: GenerateRequest, dataset: Dataset, *, current: Period, max_periods: int
) -> list[Period]:
    """Return the requested quarters, oldest first; none for a dataset that is not periodic.

    Raises:
        InvalidRequest: a bound is missing or out of order, before the source begins, not over
            yet, or the range is too long; the sentence names the field.
    """
    if dataset.first_period is None:
        _refuse_bounds(request)
        return []
    start, end = _bounds(request)
    if start > end:
        raise InvalidRequest(f"start {start} is after end {end}; swap start_* and end_*")
    if start < dataset.first_period:
        raise InvalidRequest(
            f"start {start}: {dataset.name} begins with {dataset.first_period}; ask from there"
        )
    if end >= current:
        raise InvalidRequest(
            f"end {end} is not over yet (now is {current}); ask up to the quarter before"
        )
    wanted = end.offset_from(start) + 1
    if wanted > max_periods:
        raise InvalidRequest(
            f"{start} to {end} is {wanted} quarters, at most {max_periods} are allowed; "
            "send several requests or raise QUARRY_MAX_PERIODS"
        )
    return list(start.through(end))


def _bounds(request: GenerateRequest) -> tuple[Period, Period]:
    numbers = {
        "start_year": request.start_year,
        "start_quarter": request.start_quarter,
        "end_year": request.end_year,
        "end_quarter": request.end_quarter,
    }
    missing = [name for name, number in numbers.items() if number is None]
    if missing:
        raise InvalidRequest(f"{request.dataset} is quarterly; add {', '.join(missing)}")
    start_year, start_quarter, end_year, end_quarter = (n or 0 for n in numbers.values())
    return Period(start_year, start_quarter), Period(end_year, end_quarter)


def _refuse_bounds(request: GenerateRequest) -> None:
    given = [
        name
        for name in ("start_year", "start_quarter", "end_year", "end_quarter")
        if getattr(request, name) is not None
    ]
    if given:
        raise InvalidRequest(f"{request.dataset} has no quarters; leave out {', '.join(given)}")
