"""The stand-in as a program: made-up quarters, or the real ones of a folder with `--zips`."""

import argparse
from datetime import UTC, date, datetime
from pathlib import Path

from contracts import Period
from ops.portal.catalogue import Catalogue
from ops.portal.quarters import MadeUpQuarters
from ops.portal.serve import server
from ops.stack.home import find_home


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m ops.portal", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zips", type=Path, help="serve the zips of this folder")
    parser.add_argument("--generate", action="store_true", help="made-up quarters beside the zips")
    parser.add_argument("--cache", type=Path, default=find_home().data / "quarters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--banks", type=int, default=5_000)
    parser.add_argument("--today", type=date.fromisoformat, default=datetime.now(UTC).date())
    options = parser.parse_args()
    if options.zips is not None and not options.zips.is_dir():
        parser.error(f"--zips {options.zips}: there is no such folder")
    made_up = None
    if options.generate or options.zips is None:
        made_up = MadeUpQuarters(options.cache, options.seed, options.banks)
    index = Period.of(options.today).index - 1
    last = Period(index // 4, index % 4 + 1)
    server(Catalogue(options.zips, made_up, last), options.port).run()


if __name__ == "__main__":
    main()
