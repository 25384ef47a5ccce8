"""A run's progress as a table that is drawn over itself, or as lines where there is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from ops.run_progress import FolderProgress, RunProgress, StageProgress
from ops.screen import err

_COLOURS = {
    "waiting": "dim",
    "working": "cyan",
    "retrying": "yellow",
    "done": "green",
    "parked": "red",
}


@contextmanager
def progress_shown() -> Iterator[Callable[[RunProgress], None]]:
    """Yield a function that shows a run's progress on standard error."""
    if not err.is_terminal:
        yield _Lines().show
        return
    with Live(console=err, auto_refresh=False) as live:
        yield lambda progress: live.update(_table(progress), refresh=True)


class _Lines:
    """Prints a line when a stage of a folder changes its state."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def show(self, progress: RunProgress) -> None:
        for folder in progress.folders:
            for name, stage, text in _cells(folder):
                if stage.state not in {"retrying", "done", "parked"}:
                    continue
                line = f"{folder.part} {name} {stage.state} {text}".rstrip()
                if line not in self._said:
                    self._said.add(line)
                    err.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(progress: RunProgress) -> Table:
    table = Table("quarter", "collected", "processed", "loaded", box=None, pad_edge=False)
    for folder in progress.folders:
        cells = [
            f"[{_COLOURS[stage.state]}]{text or stage.state}[/]"
            for _, stage, text in _cells(folder)
        ]
        table.add_row(folder.part, *cells)
    if not progress.folders:
        table.add_row("…", "waiting for the generator")
    return table


def _cells(folder: FolderProgress) -> list[tuple[str, StageProgress, str]]:
    collector, processor, loader = folder.collector, folder.processor, folder.loader
    quarantined = processor.count("quarantined")
    return [
        ("collector", collector, _text(collector, f"{collector.count('files')} files")),
        (
            "processor",
            processor,
            _text(
                processor,
                f"{processor.count('tables')} tables, {processor.count('rows'):,} rows"
                + (f", {quarantined} quarantined" if quarantined else ""),
            ),
        ),
        (
            "loader",
            loader,
            f"{loader.done}/{loader.expected} tables, {loader.count('rows'):,} rows"
            + _seconds(loader)
            if loader.expected
            else "",
        ),
    ]


def _text(stage: StageProgress, counted: str) -> str:
    if stage.state == "done":
        return counted + _seconds(stage)
    if stage.state == "retrying":
        return f"retrying: {stage.retry_reason}"
    return ""


def _seconds(stage: StageProgress) -> str:
    return f" in {stage.seconds:.1f} s" if stage.state == "done" and stage.seconds else ""
