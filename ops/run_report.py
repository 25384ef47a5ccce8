"""What a run did, as one JSON object. Pure."""

from typing import Any

from ops.run_progress import FolderProgress
from ops.watch import Ended


def report(ended: Ended) -> dict[str, Any]:
    """Return run id, outcome, seconds per quarter and stage, rows per table, what was parked."""
    progress = ended.progress
    return {
        "run_id": progress.run_id,
        "outcome": ended.outcome,
        "problem": ended.problem,
        "seconds": progress.seconds,
        "quarters": {folder.part: _seconds(folder) for folder in progress.folders},
        "tables": progress.rows_by_table,
        "loads": {
            load.part: {"rows": load.rows, "outcome": load.outcome} for load in progress.loads
        },
        "quarantined": progress.quarantined,
        "warnings": list(progress.warnings),
        "parked": [
            {"stage": step.stage, "part": step.part, "reason": step.reason}
            for step in progress.parked
        ],
    }


def _seconds(folder: FolderProgress) -> dict[str, float | None]:
    return {
        "collector": folder.collector.seconds,
        "processor": folder.processor.seconds,
        "loader": folder.loader.seconds,
    }
