"""The few figures of a made-up bank that have to go together: balance sheet and income."""

import numpy as np

from contracts import Period
from ops.portal.banks import Banks


def statements(banks: Banks, period: Period) -> dict[str, np.ndarray]:
    """Return figures by the item's four characters, thousands of dollars, one per bank.

    Loans, and deposits with equity, never exceed assets; income is the year's so far.
    """
    assets = banks.assets(period).astype(float)
    equity = assets * _ratio(banks, period, 11, mean=0.11, spread=0.02, bounds=(0.05, 0.25))
    deposits = _ratio(banks, period, 12, mean=0.92, spread=0.03, bounds=(0.6, 0.99))
    loans = _ratio(banks, period, 13, mean=0.62, spread=0.12, bounds=(0.05, 0.92))
    interest = _ratio(banks, period, 14, mean=0.0095, spread=0.0012, bounds=(0.004, 0.02))
    paid = _ratio(banks, period, 15, mean=0.17, spread=0.06, bounds=(0.02, 0.6))
    # Some banks make a loss.
    earned = _ratio(banks, period, 16, mean=0.0026, spread=0.0017, bounds=(-0.02, 0.02))
    derivatives = _ratio(banks, period, 17, mean=18, spread=7, bounds=(0.1, 40))
    figures = {
        "2170": assets,
        "2122": assets * loans,
        "2200": (assets - equity) * deposits,
        "3210": equity,
        "4107": assets * interest * period.quarter,
        "4073": assets * interest * paid * period.quarter,
        "4340": assets * earned * period.quarter,
        "A126": assets * derivatives,
    }
    return {item: values.astype(np.int64) for item, values in figures.items()}


def _ratio(
    banks: Banks,
    period: Period,
    number: int,
    *,
    mean: float,
    spread: float,
    bounds: tuple[float, float],
) -> np.ndarray:
    """Return a bank's own ratio, which moves a little from quarter to quarter."""
    own = np.random.default_rng([banks.seed, number]).standard_normal(banks.count)
    now = np.random.default_rng([banks.seed, number, period.index]).standard_normal(banks.count)
    result: np.ndarray = np.clip(mean + spread * (own + 0.1 * now), *bounds)
    return result
