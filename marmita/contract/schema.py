"""What every model's contract is made of: rows with described features, requests that hold rows, and errors.

A contract is the one place that names a model's features, their units, ranges and examples. The service takes its
validation from it, OpenAPI its descriptions, training its columns.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

MAX_ROWS = 10_000
MAX_ERRORS = 1_000

Floats = npt.NDArray[np.float32]
"""Rows on their way into a model, or its outputs on their way out: always two dimensions."""

Row = TypeVar("Row")
Rows = Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS), FailFast()]
"""At least one row and no more than a model should be asked for at once. The first wrong row ends the reading, so
that an answer about errors stays small whatever was sent."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A JSON number: not a string that looks like one, not NaN, not infinite."""


class Strict(BaseModel):
    """What comes in: unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Request(Strict):
    """The body of a request. Reading it is bounded, whatever it holds: each unknown field is an error of its own, and
    a million of them would keep a worker busy for seconds.
    """

    most_keys: ClassVar[int]
    """More keys than any request can need."""

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        keys = json_data.count(":") if isinstance(json_data, str) else json_data.count(b":")
        if keys > cls.most_keys:
            raise cls._error("too_many_keys", f"There are more than {cls.most_keys} keys")
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            if error.error_count() <= MAX_ERRORS:
                raise
            count = error.error_count()
        raise cls._error("too_many_errors", f"There are {count} errors")

    @classmethod
    def _error(cls, kind: Any, what: Any) -> ValidationError:
        return ValidationError.from_exception_data(
            cls.__name__, [{"type": PydanticCustomError(kind, what), "input": None}]
        )


def most_keys(row: type[BaseModel]) -> int:
    """Twice as many as a request with all its rows has: who sends a row too many shall hear of rows, not of keys."""
    return 2 * MAX_ROWS * len(row.model_fields)


class Answer(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True)


def no_default(schema: dict[str, Any]) -> None:
    """For a field that may be left out: None is how we say so, and not what anybody sends or gets."""
    schema.pop("default", None)


PredictionId = Annotated[
    str | SkipJsonSchema[None],
    Field(
        description="The id by which the truth can be told later: there if the prediction is kept",
        exclude_if=lambda known: known is None,
        json_schema_extra=no_default,
    ),
]


class ErrorDetail(Answer):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int] = Field(description="The path to what is wrong: names of fields and indices of rows.")
    msg: str = Field(description="What is wrong with it.")
    type: str = Field(description="The kind of error, for programs.")


class Error(Answer):
    """The one shape of every error."""

    error: str = Field(description="One sentence for people.")
    detail: list[ErrorDetail] = Field(description="Every single thing that is wrong, where that is known.")


def feature(about: str, *, unit: str, low: float, high: float, example: float) -> Any:
    """Describe one feature. `low` and `high` bound what can exist at all; a row beyond them is an error."""
    return Field(
        ge=low,
        le=high,
        strict=True,
        allow_inf_nan=False,
        description=f"{about} ({unit})",
        examples=[example],
        json_schema_extra={"unit": unit},
    )


def also_known_as(headers: Mapping[str, str]) -> AliasGenerator:
    """Let features go by the data set's own column names too."""

    def names(field: str) -> AliasChoices:
        return AliasChoices(field, *([headers[field]] if field in headers else []))

    return AliasGenerator(validation_alias=names)


def features(row: type[BaseModel]) -> list[str]:
    """The names of a row's features, in the order in which the model takes them."""
    return list(row.model_fields)


def example(row: type[BaseModel]) -> dict[str, Any]:
    """A row that can be sent as it is."""
    return {name: (field.examples or [None])[0] for name, field in row.model_fields.items()}


def same_interface(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a model with one contract can be asked by the other: the same features in the same order and units.

    Words and bounds may differ.
    """
    return _interface(one) == _interface(other)


def _interface(contract: Mapping[str, Any]) -> dict[str, Any]:
    return {**contract, "features": [(feature["name"], feature["unit"]) for feature in contract.get("features", [])]}


def describe(row: type[BaseModel]) -> list[dict[str, Any]]:
    """The contract as data: what is packed with a model, and what a model is held against when it is loaded."""
    properties = row.model_json_schema(by_alias=False)["properties"]
    return [
        {
            "name": name,
            "unit": schema.get("unit"),
            "low": schema.get("minimum"),
            "high": schema.get("maximum"),
            "description": schema["description"],
        }
        for name, schema in properties.items()
    ]


def to_array(rows: Sequence[BaseModel], names: Sequence[str]) -> Floats:
    """Rows of a contract as the array that a model takes."""
    values = attrgetter(*names)
    return np.array([values(row) for row in rows], dtype=np.float32)
