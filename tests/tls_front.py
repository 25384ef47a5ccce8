"""TLS in front of a PostgreSQL server that was built without it, and certificates to use there."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

_TLS_QUESTION = bytes.fromhex("0000000804d2162f")
_CHUNK = 65_536


def make_authority(folder: Path, name: str) -> Path:
    """Make an authority of one's own; return its certificate, the key lies beside it."""
    certificate = folder / f"{name}.pem"
    _openssl("-subj", f"/CN={name}", "-keyout", f"{certificate}.key", "-out", str(certificate))
    return certificate


def make_certificate(authority: Path, host: str) -> Path:
    """Let an authority certify a host's name; return certificate and key in one file."""
    made = authority.with_name(f"{authority.stem}-{host}.pem")
    key = made.with_suffix(".key")
    _openssl(
        *("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-CA", str(authority), "-CAkey", f"{authority}.key"),
        *("-keyout", str(key), "-out", str(made)),
    )
    made.write_text(made.read_text() + key.read_text())
    return made


def _openssl(*words: str) -> None:
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    subprocess.run(  # noqa: S603  # our own words
        [*command, "-noenc", "-days", "2", *words], check=True, capture_output=True
    )


@asynccontextmanager
async def tls_front(server_url: str, certificate: Path) -> AsyncIterator[int]:
    """Answer PostgreSQL's question for TLS with yes and forward what was encrypted to the server.

    Yields the port of 127.0.0.1. A client that does not ask for TLS is turned away.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    port = urlsplit(server_url).port

    talks: set[asyncio.Task[None] | None] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        # A client that refuses the certificate or leaves is what some tests are about.
        with suppress(OSError, EOFError):
            try:
                if await reader.readexactly(len(_TLS_QUESTION)) == _TLS_QUESTION:
                    writer.write(b"S")
                    await writer.start_tls(context)
                    await _join(reader, writer, *await asyncio.open_connection("127.0.0.1", port))
            except asyncio.CancelledError:  # the front closes
                writer.transport.abort()
            finally:
                writer.close()
                talks.discard(asyncio.current_task())

    front = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield front.sockets[0].getsockname()[1]
    finally:
        front.close()
        left = [talk for talk in talks if talk is not None]
        for each in left:
            each.cancel()
        await asyncio.gather(*left)
        await asyncio.sleep(0)  # so that what was cut off is closed too


@contextmanager
def running_tls_front(server_url: str, certificate: Path) -> Iterator[int]:
    """Run `tls_front` in a thread of its own, for as long as tests that are not async need it."""
    with (
        start_blocking_portal() as thread,
        thread.wrap_async_context_manager(tls_front(server_url, certificate)) as port,
    ):
        yield port


async def _join(
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    server: asyncio.StreamReader,
    to_server: asyncio.StreamWriter,
) -> None:
    try:
        await asyncio.gather(_pump(client, to_server), _pump(server, to_client))
    except asyncio.CancelledError:
        to_server.transport.abort()
        raise
    finally:
        to_server.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    target.close()
