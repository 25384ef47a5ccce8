"""PostgreSQL through asyncpg: connections that survive rotation, and errors in Quarry's tree."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import asyncpg

from shared.errors import PermanentError, TransientError
from shared.log import log

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_CONNECT_SECONDS = 15
_QUERIES_OF_A_CONNECTION = 50_000
_WAITING_HELPS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a rotated password not yet everywhere
    asyncpg.TransactionRollbackError,  # deadlocks and serialisation failures
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # shutdown, cancel, starting up
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a fail-over is under way
    asyncpg.InterfaceError,  # asyncpg's own word for a connection that is gone
    OSError,
    TimeoutError,
)


class RowRefused(PermanentError):
    """A value cannot be stored in its column."""


class DuplicateKey(RowRefused):
    """Two rows have one key."""


class NotPermitted(PermanentError):
    """The loader's role lacks a right."""


class NoSuchDatabase(PermanentError):
    """The server has no database of this name."""


class StatementRefused(PermanentError):
    """PostgreSQL refused a statement in a way that waiting does not change."""


@dataclass(frozen=True)
class Access:
    """How to reach the database now: a URL, and the TLS context its certificate must satisfy."""

    url: str
    tls: ssl.SSLContext | None = None


ReadAccess = Callable[[], Awaitable[Access]]


class Database:
    """A few connections, opened when needed; nothing is prepared or set beyond a transaction.

    That makes it safe behind RDS Proxy and pgbouncer in transaction mode. When a password is
    refused, `read_access` is asked again, so a rotated secret is picked up in mid-run.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(
        cls, read_access: ReadAccess, *, connections: int, keep: bool = True
    ) -> AsyncIterator[Self]:
        """Open up to `connections`, none of them before it is needed.

        Unless `keep`, each is closed when it is given back.
        """

        async def connect(*_: Any, **given: Any) -> Any:
            try:
                return await _connect(await read_access(), given)
            except asyncpg.InvalidAuthorizationSpecificationError:
                log.warning("database_login_refused", next="reading the secret again")
                return await _connect(await read_access(), given)

        async def keep_as_it_is(_: Any) -> None:
            """Skip asyncpg's reset: only SET LOCAL is ever used."""

        pool = asyncpg.create_pool(
            min_size=0,
            max_size=connections,
            # asyncpg closes a connection that is given back after so many.
            max_queries=_QUERIES_OF_A_CONNECTION if keep else 1,
            connect=connect,
            reset=keep_as_it_is,
        )
        async with pool:
            yield cls(pool)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; every error inside arrives in Quarry's tree.

        Raises:
            TransientError: the server is away, busy, or took the lock or the session away.
            RowRefused: a value does not fit.
            NotPermitted: the role lacks a right.
            StatementRefused: anything else the server refuses.
        """
        with postgres_errors():
            async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
                yield connection


async def _connect(access: Access, given: dict[str, Any]) -> Any:
    options = {"timeout": _CONNECT_SECONDS, "statement_cache_size": 0, **given}
    if access.tls is not None:
        options["ssl"] = access.tls
    return await asyncpg.connect(access.url, **options)


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Translate what asyncpg raises inside."""
    try:
        yield
    except _WAITING_HELPS as error:
        raise TransientError(f"PostgreSQL: {_sentence(error)}") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise NoSuchDatabase(
            f"PostgreSQL: {_sentence(error)}; its first load creates it, or you do where the "
            "loader may not"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotPermitted(f"PostgreSQL: {_sentence(error)}") from error
    except asyncpg.UniqueViolationError as error:
        raise DuplicateKey(f"PostgreSQL: {_sentence(error)}") from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise RowRefused(f"PostgreSQL: {_sentence(error)}") from error
    except asyncpg.PostgresError as error:
        raise StatementRefused(f"PostgreSQL: {_sentence(error)}") from error


def _sentence(error: BaseException) -> str:
    parts = [str(error) or type(error).__name__]
    # The place in a COPY ("line 17, column x"); DETAIL and the rest of a row stay out of logs.
    context = getattr(error, "context", None)
    if context and context.startswith("COPY "):
        parts.append(context.splitlines()[0].split(": ")[0])
    return ", ".join(part.splitlines()[0] for part in parts)
