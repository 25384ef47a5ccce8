"""SQL for analysts that a dataset ships: functions and views beside its tables."""

from importlib.resources import files


def curated_sql(dataset: str) -> str | None:
    """Return `contracts/datasets/{dataset}.sql`, or None for a dataset that has none.

    The script may run again at any time, before any table exists too, and names the dataset's own
    schema only. No view of it depends on a table's column, which could then not be widened.
    """
    path = files("contracts") / "datasets" / f"{dataset}.sql"
    return path.read_text(encoding="utf-8") if path.is_file() else None
