"""`python -m ops` is the `quarry` command."""

from ops.cli import main

main()
