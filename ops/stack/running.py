"""Where the parts of a running stack are reached."""

from ops.stack import postgres
from ops.stack.home import Home, PartName, StackState
from ops.stack.supervise import is_running


def endpoint_url(home: Home, state: StackState) -> str | None:
    """Return the emulator's address, if it runs."""
    record = state.parts.get("emulator")
    if record is None or not is_running(home, "emulator", record):
        return None
    return f"http://127.0.0.1:{record.port}"


def own_database(home: Home) -> postgres.Postgres | None:
    """Return the stack's own PostgreSQL server, if it runs."""
    return postgres.running(home.data / "postgres")


def database_url(home: Home, state: StackState) -> str | None:
    """Return the address of the database that the stack loads into."""
    if state.database_url:
        return state.database_url
    server = own_database(home)
    return server.url if server else None


def dead_parts(home: Home, state: StackState) -> list[PartName]:
    """Return the parts that were started and do not run any more."""
    own = own_database(home)
    return [
        part
        for part, record in state.parts.items()
        if (own is None if part == "postgres" else not is_running(home, part, record))
    ]
