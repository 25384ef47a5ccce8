"""The last packet id of each table, kept in SSM under `/quarry/{env}/{dataset}/packet/{table}`."""

from collections.abc import Collection
from typing import Any, Protocol

from botocore.exceptions import ClientError

from shared.aws import aws_errors
from shared.errors import PermanentError, TransientError


class Parameters(Protocol):
    """The part of the SSM client that is used."""

    async def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803  # AWS's name
        """Return a parameter's current version."""
        ...

    async def put_parameter(
        self,
        *,
        Name: str,  # noqa: N803  # AWS's name
        Value: str,  # noqa: N803  # AWS's name
        Type: str,  # noqa: N803  # AWS's name
        Overwrite: bool,  # noqa: N803  # AWS's name
    ) -> dict[str, Any]:
        """Write a parameter."""
        ...


class UnknownTable(PermanentError, KeyError):
    """The dataset does not poll a table of this name."""

    __str__ = Exception.__str__  # KeyError's own puts the sentence in quotes


class PacketOutOfOrder(PermanentError):
    """A packet id that is not the one after the last."""


class PacketNumbers:
    """Counters of one dataset's tables; a table that never had a packet is at 0.

    They are a convenience for operators and a starting point for the next run. What makes an id
    unique is the packet's record in the lake, because SSM has no conditional write.
    """

    def __init__(self, ssm: Parameters, env: str, dataset: str, tables: Collection[str]) -> None:
        self._ssm = ssm
        self._folder = f"/quarry/{env}/{dataset}/packet"
        self._tables = tables

    async def last_packet(self, table: str) -> int:
        """Return the id of the table's last packet.

        Raises:
            UnknownTable: the dataset has no such table.
            TransientError: SSM cannot be reached.
        """
        name = self._name(table)
        with aws_errors(f"reading {name}"):
            try:
                answer = await self._ssm.get_parameter(Name=name)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ParameterNotFound":
                    return 0
                raise
        return int(answer["Parameter"]["Value"])

    async def set_last_packet(self, table: str, packet_id: int) -> None:
        """Move the counter on by one.

        Raises:
            UnknownTable: the dataset has no such table.
            PacketOutOfOrder: `packet_id` is not the last id + 1.
            TransientError: SSM cannot be reached, or another run made the parameter meanwhile.
        """
        last = await self.last_packet(table)
        if packet_id != last + 1:
            raise PacketOutOfOrder(
                f"{self._name(table)} is {last}; {last + 1} comes next, not {packet_id}"
            )
        name = self._name(table)
        with aws_errors(f"writing {name}"):
            try:
                await self._ssm.put_parameter(
                    Name=name, Value=str(packet_id), Type="String", Overwrite=last > 0
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ParameterAlreadyExists":
                    raise TransientError(f"another run wrote {name} meanwhile") from error
                raise

    def _name(self, table: str) -> str:
        if table not in self._tables:
            known = ", ".join(sorted(self._tables))
            raise UnknownTable(f"{self._folder} has no table {table!r}; there are: {known}")
        return f"{self._folder}/{table}"
