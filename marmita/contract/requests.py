"""What comes in: request bodies whose reading is bounded, whatever they hold."""

from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import PydanticCustomError

MAX_ROWS = 10_000
MAX_ERRORS = 1_000

Item = TypeVar("Item")
Rows = Annotated[list[Item], Field(min_length=1, max_length=MAX_ROWS), FailFast()]
"""At least one row and no more than a model should be asked for at once. The first wrong row ends the reading, so
that an answer about errors stays small whatever was sent."""


class Strict(BaseModel):
    """What comes in: unknown fields are rejected by name."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class RequestBody(Strict):
    """The body of a request.

    Each unknown field is an error of its own, and a million of them would keep a worker busy for seconds: hence the
    bound on keys.
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
    """Return twice the keys of a request with all its rows: one row too many is an error about rows, not about keys."""
    return 2 * MAX_ROWS * len(row.model_fields)
