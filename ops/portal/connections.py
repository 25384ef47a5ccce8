"""The site's open connections, so that it can hang up in the middle of an answer."""

import asyncio

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connections:
    """Open connections by the visitor's address and port."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Return uvicorn's HTTP protocol, telling this object of its connections."""
        kept = self._open

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
                super().connection_made(transport)
                kept[transport.get_extra_info("peername")] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                kept.pop(self.transport.get_extra_info("peername"), None)
                super().connection_lost(exc)

        return Protocol

    async def hang_up(self, request: Request) -> None:
        """Close the visitor's connection once what was sent is on its way; return when it is."""
        assert request.client is not None  # noqa: S101  # every TCP visitor has an address
        self._open[request.client.host, request.client.port].close()
        await gone(request)


async def gone(request: Request) -> None:
    """Return when the visitor's connection is closed, by whichever side."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
