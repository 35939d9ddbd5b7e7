"""Rows of described features: the contract of a model on tabular data.

The contract is the single definition of a model's features, with their units, ranges and examples. The service derives
its validation from it, OpenAPI its descriptions, and training its columns.
"""

from collections.abc import Mapping, Sequence, Set
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from pydantic import AliasChoices, AliasGenerator, BaseModel, Field, create_model

from marmita.contract.columns import Column, columns_of, encoder
from marmita.contract.columns import Floats as Floats
from marmita.contract.decoding import rows_decoder
from marmita.contract.requests import RequestBody, Rows, Strict, most_keys


class Row(Strict):
    """One row of a table. A subclass declares each feature with `feature`, in the model's order."""


def feature(about: str, *, unit: str, low: float, high: float, example: float) -> Any:
    """Declare one feature. `low` and `high` bound its possible values: a row outside them is invalid."""
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
    """Accept the data set's column names as aliases of the features."""

    def names(field: str) -> AliasChoices:
        return AliasChoices(field, *([headers[field]] if field in headers else []))

    return AliasGenerator(validation_alias=names)


def features(row: type[BaseModel]) -> list[str]:
    """Return the names of a row's features, in the model's order."""
    return list(row.model_fields)


def example(row: type[BaseModel]) -> dict[str, Any]:
    """Return a valid example row."""
    return {name: (field.examples or [None])[0] for name, field in row.model_fields.items()}


def describe(row: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the contract as data, which is packed with a model and compared when the model is loaded."""
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


def same_interface(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two contracts have the same interface: the same features, order and units.

    Descriptions and bounds may differ. Contracts of older versions may lack the classes.
    """
    known = one.keys() & other.keys()
    optional = {"classes"} - known
    return _interface(one, optional) == _interface(other, optional)


def _interface(contract: Mapping[str, Any], without: Set[str]) -> dict[str, Any]:
    compared = {key: value for key, value in contract.items() if key not in without}
    return {**compared, "features": [(feature["name"], feature["unit"]) for feature in contract.get("features", [])]}


class RowsReader:
    """A decoder of request bodies with rows, `{"<field>": [{...}, ...]}`, to one array.

    Nearly all rows are valid. msgspec decodes those, without a pydantic model for each row. Any other body goes to the
    request's class, which validates it or raises the errors.
    """

    def __init__(
        self,
        row: type[Row],
        request: type[RequestBody],
        field: str,
        columns: Sequence[Column] = (),
        *,
        extra: bool = False,
    ) -> None:
        self._columns = columns or columns_of({"features": describe(row)})
        self._attributes = tuple(row.model_fields)
        self._field = field
        self._request = request
        self._encode = encoder(self._columns)
        is_plain = bool(columns) or _is_plain(row)
        self._decode = rows_decoder(self._columns, field, extra=extra) if is_plain else None
        self._all_numbers = not any(column.gaps or column.categories for column in self._columns)

    def __call__(self, body: bytes) -> Floats:
        if self._decode is not None:
            try:
                return self._array([*map(_values, self._decode(body))])
            except (msgspec.DecodeError, ValueError, RecursionError):
                pass  # the request's class reports the errors
        return self.validated(self._request.model_validate_json(body))

    def validated(self, request: RequestBody) -> Floats:
        """Return the rows of a validated request as an array."""
        return self._array(
            [tuple(getattr(row, name) for name in self._attributes) for row in getattr(request, self._field)]
        )

    def _array(self, rows: Sequence[tuple[Any, ...]]) -> Floats:
        if self._all_numbers:
            width = len(self._columns)
            return np.fromiter(chain.from_iterable(rows), np.float32, len(rows) * width).reshape(-1, width)
        return self._encode([*zip(*rows, strict=True)])


_values = msgspec.structs.astuple


def _is_plain(row: type[Row]) -> bool:
    """Tell whether bounds are the only validation of a row's contract."""
    decorators = row.__pydantic_decorators__
    checks = (
        decorators.validators,
        decorators.field_validators,
        decorators.root_validators,
        decorators.model_validators,
    )
    bounds = [(described["low"], described["high"]) for described in describe(row)]
    return not any(checks) and all(None not in pair for pair in bounds)


def rows_request(row: type[Row], field: str) -> type[RequestBody]:
    """Return the class of requests with a list of rows in this field, with a valid example."""
    rows = (Rows[row], Field(description="The rows, one answer for each"))  # type: ignore[valid-type]
    fields: dict[str, Any] = {field: rows}
    made = create_model(
        f"{row.__name__}s",
        __base__=RequestBody,
        __module__=row.__module__,
        __doc__=f"Rows to answer: {(row.__doc__ or row.__name__).strip().partition('.')[0]}.",
        **fields,
    )
    made.most_keys = most_keys(row)
    made.model_config["json_schema_extra"] = {"examples": [{field: [example(row)]}]}
    return made
