"""What goes out: the base of all answers, and the parts that many of them share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from marmita.contract.errors import ErrorCode


class Answer(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True)


def no_default(schema: dict[str, Any]) -> None:
    """Hide the default of a field that may be left out: None stands for its absence and is never sent."""
    schema.pop("default", None)


PredictionId = Annotated[
    str | SkipJsonSchema[None],
    Field(
        description="The id by which the truth can be told later: there if the prediction is kept",
        exclude_if=lambda known: known is None,
        json_schema_extra=no_default,
    ),
]


class Interval(Answer):
    """Where the truth lies, with a stated probability."""

    low: float
    high: float
    coverage: float = Field(description="The share of rows whose truth lies inside", examples=[0.9])


class ErrorDetail(Answer):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int] = Field(description="The path to what is wrong: names of fields and indices of rows.")
    msg: str = Field(description="What is wrong with it.")
    type: str = Field(description="The kind of error, for programs.")


class Error(Answer):
    """The one shape of every error."""

    error: str = Field(description="One sentence for people.")
    code: ErrorCode
    detail: list[ErrorDetail] = Field(description="Every single thing that is wrong, where that is known.")
