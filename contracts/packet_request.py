"""The bare payload people send to the processor: these packets, please."""

from typing import Any, ClassVar

from pydantic import Field, model_validator

from contracts.datasets import all_datasets
from contracts.messages import Packet, Payload


class ProcessPackets(Payload):
    """Command to the processor: turn stored packets into tables.

    The dataset may be left out where only one has packets of these tables.
    """

    type: ClassVar[str] = "ProcessPackets"

    packets: tuple[Packet, ...] = Field(
        min_length=1,
        description="Which packets, in any order.",
        examples=[[{"table": "staff", "id": 1}]],
    )

    @model_validator(mode="before")
    @classmethod
    def _find_dataset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "dataset" in given:
            return given
        packets = given.get("packets")
        if not isinstance(packets, list):
            return given
        tables = {packet.get("table") for packet in packets if isinstance(packet, dict)}
        owners = [
            dataset.name
            for dataset in all_datasets().values()
            if dataset.source.kind == "database" and tables <= set(dataset.source.tables)
        ]
        if len(owners) != 1:
            shown = ", ".join(sorted(map(str, tables)))
            raise ValueError(
                f"{len(owners)} datasets have the tables {shown}; name one with `dataset`"
            )
        return {**given, "dataset": owners[0]}
