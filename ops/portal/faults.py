"""Ways in which a download page misbehaves, switched on by tests."""

from dataclasses import dataclass
from typing import Literal, get_args

FaultName = Literal[
    "hanging",
    "slow",
    "cut_off",
    "html_error",
    "forbidden",
    "unavailable",
    "missing_control",
    "missing_date",
    "wrong_quarter",
    "xbrl_default",
    "not_a_zip",
    "damaged_zip",
]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)


@dataclass
class Fault:
    """`times` downloads or pages are spoilt, then all is well again; None: until switched off.

    `detail` is the control or quarter that is missing, or the seconds that an answer takes: a
    hanging site is silent until then, a slow one sends the archive over that time.
    """

    name: FaultName
    times: int | None = None
    detail: str = ""


class Faults:
    """At most one fault at a time."""

    def __init__(self, active: Fault | None = None) -> None:
        self.active = active

    def is_on(self, name: FaultName) -> bool:
        """Say whether this fault is switched on, without using it up."""
        return self.active is not None and self.active.name == name

    def use(self, name: FaultName) -> Fault | None:
        """Return the fault if it is switched on, and count it as done once."""
        fault = self.active
        if fault is None or fault.name != name:
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.active = None
        return fault
