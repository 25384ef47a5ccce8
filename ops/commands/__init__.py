"""One module per command or family of commands; `ops/cli.py` registers them."""
