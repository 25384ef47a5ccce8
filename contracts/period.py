"""Calendar quarters, the unit in which periodic datasets arrive."""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

PERIOD_PATTERN = r"^[12][0-9]{3}Q[1-4]$"
_QUARTERS = 4


@dataclass(frozen=True, order=True)
class Period:
    """One quarter, written `2023Q1` on the wire and in every key."""

    year: int
    quarter: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2023Q1`; anything else is a ValueError that shows the text."""
        if not re.fullmatch(PERIOD_PATTERN, text):
            raise ValueError(f"{text!r} is not a period; write it like 2023Q1")
        return cls(int(text[:4]), int(text[5]))

    @classmethod
    def of(cls, day: date) -> Self:
        """Return the quarter that `day` falls in."""
        return cls(day.year, (day.month - 1) // 3 + 1)

    @property
    def end(self) -> date:
        """The last day of the quarter: the regulator's report date."""
        month = self.quarter * 3
        return date(self.year, month, monthrange(self.year, month)[1])

    @property
    def index(self) -> int:
        """Quarters since year 0, so that differences are plain subtraction."""
        return self.year * _QUARTERS + self.quarter - 1

    def offset_from(self, other: "Period") -> int:
        """Quarters from `other` to this one: 2023Q1 seen from 2023Q3 is -2."""
        return self.index - other.index

    def through(self, last: "Period") -> Iterator["Period"]:
        """Yield every quarter from this one to `last`, both included."""
        for index in range(self.index, last.index + 1):
            yield Period(index // _QUARTERS, index % _QUARTERS + 1)

    def __str__(self) -> str:
        return f"{self.year}Q{self.quarter}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = core_schema.no_info_after_validator_function(
            cls.parse, core_schema.str_schema(pattern=PERIOD_PATTERN)
        )
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(pattern=PERIOD_PATTERN)
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": PERIOD_PATTERN, "examples": ["2013Q1"]}
