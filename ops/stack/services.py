"""How to run the four services and the portal stand-in on this machine."""

import json
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from contracts.datasets import all_datasets
from infra.names import LOCAL_REGION, SERVICES, Names, Service
from infra.settings import settings_for
from infra.variables import service_variables
from ops.stack.supervise import Program

# Messages worked on side by side; loads of one table still wait for each other.
_LANES: Mapping[Service, int] = {"generator": 1, "collector": 1, "processor": 1, "loader": 2}
# What an image says, too: an allocator reads it when its process starts.
ALLOCATOR: Mapping[Service, Mapping[str, str]] = {
    "generator": {},
    "collector": {},
    # One arena per thread would keep some 80 MB more of a long-running worker.
    "processor": {"MALLOC_ARENA_MAX": "2"},
    # A load frees and takes the same memory many times; to give it back each time takes longer.
    "loader": {
        "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
        "MIMALLOC_PURGE_DELAY": "-1",
    },
}
# A message in hand gets this long after SIGTERM; then it is given back.
GRACE_SECONDS = 10


def aws_variables(endpoint_url: str) -> dict[str, str]:
    """Return what any AWS client needs to reach the local stack and nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": LOCAL_REGION,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "AWS_ACCESS_KEY_ID": "quarry",
        "AWS_SECRET_ACCESS_KEY": "quarry",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def service_programs(endpoint_url: str, database_url: str, portal_url: str) -> list[Program]:
    """Return the services, each in its own process with the variables AWS would give it."""
    own: dict[Service, dict[str, str]] = {
        "generator": {},
        "collector": {
            "QUARRY_PORTAL_URL": portal_url,
            "QUARRY_FETCHER": "browser" if has_browser() else "http",
            "QUARRY_MIN_DELAY_SECONDS": "0",
            "QUARRY_SOURCE_URLS": json.dumps(_demo_databases(database_url)),
        },
        "processor": {},
        "loader": {"DATABASE_URL": database_url},
    }
    return [
        Program(
            part=service,
            command=(sys.executable, "-m", f"services.{service}.main"),
            variables={
                **aws_variables(endpoint_url),
                **_quarry_variables(service, endpoint_url),
                **ALLOCATOR[service],
                **own[service],
            },
            ready=lambda said: "worker_started" in said,
        )
        for service in SERVICES
    ]


def portal_program(port: int, zips: Path | None, banks: int | None, cache: Path) -> Program:
    """Return the stand-in for the regulator's site, with real zips or generated quarters.

    Generated quarters are kept in `cache`, so that each is made once.
    """
    served = (
        *(("--zips", str(zips)) if zips else ()),
        *(("--banks", str(banks)) if banks else ()),
    )
    return Program(
        part="portal",
        command=(
            sys.executable,
            "-m",
            "ops.portal",
            "--port",
            str(port),
            "--cache",
            str(cache),
            *served,
        ),
        variables={},
        ready=lambda _said: _listens(port),
        responds=lambda: _listens(port),
        port=port,
    )


def portal_url(port: int) -> str:
    """Return the page the collector opens."""
    return f"http://127.0.0.1:{port}/public/pws/downloadbulkdata.aspx"


def has_browser() -> bool:
    """Say whether Chromium and its driver are installed."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def _quarry_variables(service: Service, endpoint_url: str) -> dict[str, str]:
    names = Names("local")
    on_aws = f"https://sqs.{names.region}.amazonaws.com"
    variables = service_variables(service, names, settings_for("local"))
    return {
        **{name: value.replace(on_aws, endpoint_url) for name, value in variables.items()},
        "QUARRY_LANES": str(_LANES[service]),
        "QUARRY_GRACE_SECONDS": str(GRACE_SECONDS),
        # Short polls let a worker end soon; a message still wakes it at once.
        "QUARRY_WAIT_SECONDS": "2",
        "POWERTOOLS_SERVICE_NAME": service,
    }


def _demo_databases(database_url: str) -> dict[str, str]:
    """Return the addresses of demo databases, by dataset; `quarry demo-source` makes them."""
    return {
        name: urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))
        for name, dataset in all_datasets().items()
        if dataset.source.kind == "database"
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
