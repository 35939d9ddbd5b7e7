"""Answers: the base class of all response bodies, and the parts that many of them share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from marmita.contract.errors import ErrorCode


class Answer(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(frozen=True)


def no_default(schema: dict[str, Any]) -> None:
    """Hide the default of an optional field from OpenAPI. None means that the field is absent, and is never sent."""
    schema.pop("default", None)


PredictionId = Annotated[
    str | SkipJsonSchema[None],
    Field(
        description="The id with which the prediction can be labelled; absent unless it is recorded",
        exclude_if=lambda known: known is None,
        json_schema_extra=no_default,
    ),
]


class Interval(Answer):
    """A prediction interval with its coverage."""

    low: float
    high: float
    coverage: float = Field(description="The share of rows whose true value lies inside", examples=[0.9])


class ErrorDetail(Answer):
    """One error of a request, with its place."""

    loc: list[str | int] = Field(description="The path to the invalid value: names of fields and indices of rows.")
    msg: str = Field(description="The message, for people.")
    type: str = Field(description="The kind of error, for programs.")


class Error(Answer):
    """The body of every error response."""

    error: str = Field(description="The message, for people.")
    code: ErrorCode
    detail: list[ErrorDetail] = Field(description="Each invalid value, if the error is about values.")
