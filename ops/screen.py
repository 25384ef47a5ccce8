"""The terminal: results go to standard output, everything about their making to standard error."""

from rich.console import Console

out = Console()
err = Console(stderr=True)


def say(text: str) -> None:
    """Tell the operator what is being done, one line each however long."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)
