"""Every dataset Quarry knows, one module each, found by name."""

import pkgutil
from functools import cache
from importlib import import_module

from contracts.dataset import Dataset


class UnknownDataset(ValueError):
    """No module in `contracts/datasets/` declares this name."""


@cache
def all_datasets() -> dict[str, Dataset]:
    """Return the declarations by name."""
    found = (
        import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    )
    return {module.DATASET.name: module.DATASET for module in found}


def dataset_named(name: str) -> Dataset:
    """Look a declaration up.

    Raises:
        UnknownDataset: the sentence lists the names that exist.
    """
    try:
        return all_datasets()[name]
    except KeyError:
        known = ", ".join(sorted(all_datasets()))
        raise UnknownDataset(f"no dataset is called {name!r}; there are: {known}") from None
