"""WHAT the services agree on: pydantic models only, no I/O."""

from contracts.dataset import (
    DatabaseSource,
    Dataset,
    DynamoSource,
    LoadMode,
    LoadRule,
    PortalSource,
)
from contracts.drop_table import DropSource
from contracts.envelope import Envelope, InvalidMessage, open_envelope, open_request
from contracts.manifest import MANIFEST_NAME, CollectedFile, Manifest, clean_prefix, raw_prefix
from contracts.messages import (
    CollectFolder,
    FolderComplete,
    GenerateRequest,
    LoadComplete,
    LoadOutcome,
    LoadTable,
    Packet,
    Payload,
    S3Object,
)
from contracts.period import Period
from contracts.status import Stage, StepRecord, StepStatus

__all__ = [
    "MANIFEST_NAME",
    "CollectFolder",
    "CollectedFile",
    "DatabaseSource",
    "Dataset",
    "DropSource",
    "DynamoSource",
    "Envelope",
    "FolderComplete",
    "GenerateRequest",
    "InvalidMessage",
    "LoadComplete",
    "LoadMode",
    "LoadOutcome",
    "LoadRule",
    "LoadTable",
    "Manifest",
    "Packet",
    "Payload",
    "Period",
    "PortalSource",
    "S3Object",
    "Stage",
    "StepRecord",
    "StepStatus",
    "clean_prefix",
    "open_envelope",
    "open_request",
    "raw_prefix",
]
