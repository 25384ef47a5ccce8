"""Taking the stack down: no process stays, everything stored stays."""

from collections.abc import Callable

from infra.names import SERVICES
from ops.stack import postgres
from ops.stack.home import Home, PartName, StackState
from ops.stack.running import own_database
from ops.stack.services import GRACE_SECONDS
from ops.stack.supervise import ask_to_end, kill_leftovers, members, stop_part

# What a service needs after its grace: closing clients, quitting the browser.
_CLOSING_SECONDS = 10
_STOP_SECONDS = GRACE_SECONDS + _CLOSING_SECONDS


def take_down(home: Home, say: Callable[[str], None]) -> bool:
    """End every process of the stack; False when there was none.

    Services go first, each finishing its message or giving it back.

    Raises:
        CommandFailed: another `up` or `down` is at work.
    """
    with home.locked():
        state = home.read()
        server = own_database(home)
        if server is None and not any(members(home)):
            home.write(StackState(ports=state.ports))
            return False
        for service in SERVICES:
            if (record := state.parts.get(service)) is not None:
                ask_to_end(home, service, record)
        order: tuple[PartName, ...] = (*SERVICES, "portal", "emulator")
        for part in order:
            record = state.parts.get(part)
            if record and not stop_part(home, part, record, grace_seconds=_STOP_SECONDS):
                say(f"{part}: did not end in {_STOP_SECONDS} s and was killed")
        for owner in {owner for _, owner in members(home)}:
            kill_leftovers(home, owner)
        if server is not None:
            postgres.stop(server)
        home.write(StackState(ports=state.ports))
        return True
