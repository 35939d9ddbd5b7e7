"""The contract of a table model as classes: its rows and requests, made from the columns that were packed with it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, create_model

from marmita.contract.answers import Answer, Interval, PredictionId
from marmita.contract.columns import LARGEST, MAX_WORD, Cell, Column, Kind
from marmita.contract.requests import RequestBody, Rows, most_keys
from marmita.contract.rows import Row

ROWS = "rows"
"""The field of a request for the rows."""
NAME = r"[a-z][a-z0-9_]{0,62}"
"""The pattern of a table model's name."""


def row_class(name: str, columns: Sequence[Column], *, extra: bool = False) -> type[Row]:
    """Return the class of a table's rows. Its fields have names of their own, as a column may be called anything.

    With `extra`, a row may have more columns, which are ignored.
    """
    fields: dict[str, Any] = {f"c{place}": _field(column) for place, column in enumerate(columns)}
    about = f"One row of {name}."
    made: type[Row] = create_model(f"{name}_row", __base__=Row, __module__=__name__, __doc__=about, **fields)
    headers = {f"c{place}": column.name for place, column in enumerate(columns)}
    made.model_config = ConfigDict(
        **made.model_config | {"extra": "ignore" if extra else "forbid"},
        json_schema_extra=lambda schema: _restore_names(schema, headers),
    )
    made.model_rebuild(force=True)
    return made


def request_class(row: type[Row], columns: Sequence[Column]) -> type[RequestBody]:
    """Return the class of requests with rows of a table, with a valid example."""
    rows: Any = (Rows[row], Field(description="The rows, one answer for each"))  # type: ignore[valid-type]
    made = create_model(
        f"{row.__name__}s",
        __base__=RequestBody,
        __module__=__name__,
        __doc__=f"Rows to answer: {(row.__doc__ or '').strip('.')}.",
        **{ROWS: rows},
    )
    made.most_keys = most_keys(row)
    examples: list[Any] = [{ROWS: [example_of(columns)]}]
    made.model_config["json_schema_extra"] = {"examples": examples}
    return made


def example_of(columns: Sequence[Column]) -> dict[str, Cell]:
    """Return a valid example row."""
    return {column.name: column.example for column in columns}


def _of_classes() -> type[Answer]:
    fields: dict[str, Any] = {
        "class": (str, Field(description="The most probable class")),
        "code": (int, Field(description="The place of the class among the model's classes")),
        "probabilities": (dict[str, float], Field(description="How probable each class is. They add up to one")),
        **_FIELDS,
    }
    about = "A table model's answer to one row: the most probable class."
    made: type[Answer] = create_model("TableClass", __base__=Answer, __module__=__name__, __doc__=about, **fields)
    return made


def _of_values() -> type[Answer]:
    fields: dict[str, Any] = {
        "value": (float, Field(description="The predicted value")),
        "interval": (Interval, ...),
        **_FIELDS,
    }
    about = "A table model's answer to one row: a number with its interval."
    made: type[Answer] = create_model("TableValue", __base__=Answer, __module__=__name__, __doc__=about, **fields)
    return made


_FIELDS: dict[str, Any] = {
    "unusual": (list[str], Field(description="Columns whose value is outside what was seen in training")),
    "model": (str, Field(description="The version that answered", examples=["churn:xf2cl6wbqsz7aaav"])),
    "id": (PredictionId, None),
}
TableClass, TableValue = _of_classes(), _of_values()


def _field(column: Column) -> tuple[Any, Any]:
    kind = _type(column)
    bounds = {} if column.kind in (Kind.BOOLEAN, Kind.CATEGORY) else _bounds(column)
    unit = f" ({column.unit})" if column.unit else ""
    field: Any = Field(
        default=None if column.gaps else ...,
        alias=column.name,
        title=column.name,
        description=f"{column.description}{unit}" or None,
        examples=[column.example],
        **bounds,
    )
    return (kind | None if column.gaps else kind), field


def _type(column: Column) -> Any:
    match column.kind:
        case Kind.BOOLEAN:
            return bool
        case Kind.CATEGORY if column.unseen:
            return Annotated[str, StringConstraints(min_length=0 if column.gaps else 1, max_length=MAX_WORD)]
        case Kind.CATEGORY:
            return Literal[column.words]
        case Kind.INTEGER | Kind.NUMBER:
            return float


def _bounds(column: Column) -> dict[str, Any]:
    whole = {"multiple_of": 1} if column.kind is Kind.INTEGER else {}
    return {"ge": column.least, "le": column.most, "allow_inf_nan": False, **whole}


def _restore_names(schema: dict[str, Any], headers: dict[str, str]) -> None:
    """Name the properties in a JSON Schema as the columns are named, and leave out the bounds of single precision."""
    schema["properties"] = {headers[name]: _without_largest(one) for name, one in schema["properties"].items()}
    schema["required"] = [headers[name] for name in schema.get("required", [])]


def _without_largest(schema: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if value not in (LARGEST, -LARGEST)}
    if "anyOf" in kept:
        kept["anyOf"] = [_without_largest(one) for one in kept["anyOf"]]
    return kept
