"""The terminal: results go to standard output, everything about their making to standard error."""

from rich.console import Console

out = Console()
err = Console(stderr=True)
