"""What X-Ray is told of each message, so that `annotation.run_id = "…"` finds all a run's work.

Lambda traces every invocation; here each message becomes a subsegment of its invocation's trace,
sent to the daemon that Lambda runs beside the function. Elsewhere there is no daemon and nothing
is sent. The format is that of
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
"""

import json
import os
import re
import socket
from secrets import token_hex

from contracts import StepRecord
from shared.log import log

_HEADER = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;.*)?")
_FORMAT = b'{"format": "json", "version": 1}\n'


def trace_header(trace: str | None) -> str | None:
    """Return a message's trace as SQS and EventBridge take it; None where X-Ray cannot read it."""
    return trace if trace is not None and _HEADER.fullmatch(trace) else None


def annotate(step: StepRecord, *, error: Exception | None = None) -> None:
    """Send a step that has ended as a subsegment of the invocation that is under way."""
    daemon = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "")
    invocation = dict(
        part.split("=", 1)
        for part in os.environ.get("_X_AMZN_TRACE_ID", "").split(";")
        if "=" in part
    )
    if not daemon or invocation.get("Sampled") != "1" or step.finished_at is None:
        return
    host, _, port = daemon.rpartition(":")
    document = {
        "type": "subsegment",
        "id": token_hex(8),
        "trace_id": invocation.get("Root"),
        "parent_id": invocation.get("Parent"),
        "name": f"quarry.{step.stage}",
        "start_time": step.started_at.timestamp(),
        "end_time": step.finished_at.timestamp(),
        "fault": error is not None,
        "annotations": {
            "run_id": step.run_id,
            "run_trace": step.trace or "",
            "dataset": step.dataset,
            "part": step.part,
            "status": step.status,
            "error": type(error).__name__ if error is not None else "",
        },
        "metadata": {"counts": step.counts},
    }
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.sendto(_FORMAT + json.dumps(document).encode(), (host, int(port)))
    except (OSError, ValueError) as problem:
        # A trace that is lost is no reason to do the work again.
        log.warning("trace_not_sent", reason=str(problem))
