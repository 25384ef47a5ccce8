"""The one pydantic configuration that every contract shares."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Immutable; a reader ignores fields it does not know, so that optional ones can be added."""

    model_config = ConfigDict(frozen=True, extra="ignore")
