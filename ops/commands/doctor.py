"""`quarry doctor`: an environment against the rules, each finding explained."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from infra.names import LOCAL_REGION, Environment
from infra.rules import Fault
from ops.commands.options import Env, Json
from ops.doctor import examine_committed, examine_deployed
from ops.errors import CommandFailed
from ops.screen import out
from ops.target import find_target

Deployed = Annotated[
    bool, typer.Option("--deployed", help="Look at what is deployed, and how it drifted.")
]


def doctor(env: Env = "local", deployed: Deployed = False, json: Json = False) -> None:
    """Check queues, alarms, retention, public access and drift; exit 1 on an error."""
    faults = _deployed_faults(env) if deployed else examine_committed(env)
    if json:
        out.print_json(data=[asdict(fault) for fault in faults])
    else:
        _print(env, faults)
    if any(fault.level == "error" for fault in faults):
        raise typer.Exit(1)


def _deployed_faults(env: Environment) -> list[Fault]:
    try:
        return examine_deployed(env, _cloudformation(env))
    except (BotoCoreError, ClientError) as error:
        raise CommandFailed(f"CloudFormation of {env} does not answer: {error}") from error


def _cloudformation(env: Environment) -> Any:
    if env != "local":
        return boto3.client("cloudformation")
    variables = find_target(env).variables
    return boto3.client(
        "cloudformation",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=LOCAL_REGION,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def _print(env: Environment, faults: Sequence[Fault]) -> None:
    if not faults:
        out.print(f"[green]{env}: nothing to complain about[/green]")
        return
    for fault in faults:
        colour = "red" if fault.level == "error" else "yellow"
        heading = f"[{colour}]{fault.level}[/{colour}] {fault.rule}"
        out.print(f"{heading}: {escape(fault.subject)} in {fault.stack}", soft_wrap=True)
        out.print(f"    {escape(fault.explanation)}", soft_wrap=True)
