"""Request bodies, with limits on the cost of parsing and validating them."""

from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import PydanticCustomError

MAX_ROWS = 10_000
MAX_ERRORS = 1_000

Item = TypeVar("Item")
Rows = Annotated[list[Item], Field(min_length=1, max_length=MAX_ROWS), FailFast()]
"""A list of one to `MAX_ROWS` rows. Validation stops at the first invalid row, so that error answers stay small."""


class Strict(BaseModel):
    """The base class of strict input models. Unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class RequestBody(Strict):
    """The body of a request.

    The number of keys is limited, because each unknown field is a separate error: a million of them would block a
    worker for seconds.
    """

    most_keys: ClassVar[int]
    """The limit of keys, above what any valid request needs."""

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
    """Return the limit of keys for a request of such rows.

    It is twice the number of keys of `MAX_ROWS` rows, so that one row too many is an error about rows, not about keys.
    """
    return 2 * MAX_ROWS * len(row.model_fields)
