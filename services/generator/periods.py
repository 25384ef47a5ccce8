"""Which quarters a request asks for. Pure: today comes in as a parameter."""

from datetime import UTC

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
    if request.last_quarters is not None or request.as_of is not None:
        start, end = _last_quarters(request, dataset.first_period)
    else:
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


def _last_quarters(request: GenerateRequest, first: Period) -> tuple[Period, Period]:
    if request.last_quarters is None or request.as_of is None:
        raise InvalidRequest("last_quarters and as_of belong together; give both or neither")
    given = _given_bounds(request)
    if given:
        raise InvalidRequest(f"last_quarters says it all; leave out {', '.join(given)}")
    current = Period.of(request.as_of.astimezone(UTC).date())
    return max(first, _before(current, request.last_quarters)), _before(current, 1)


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


def _before(period: Period, quarters: int) -> Period:
    year, quarter = divmod(period.index - quarters, 4)
    return Period(year, quarter + 1)


def _refuse_bounds(request: GenerateRequest) -> None:
    given = _given_bounds(request)
    if given:
        raise InvalidRequest(f"{request.dataset} has no quarters; leave out {', '.join(given)}")


def _given_bounds(request: GenerateRequest) -> list[str]:
    names = ("start_year", "start_quarter", "end_year", "end_quarter")
    return [name for name in names if getattr(request, name) is not None]
