"""Options that several commands share."""

from typing import Annotated

import typer

from infra.names import Environment

Env = Annotated[
    Environment, typer.Option("--env", help="local, or an environment on AWS.", envvar="QUARRY_ENV")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
