"""The contract of a table model: requests read to the model's input, errors with row and column, and its schema."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from marmita.contract.columns import UNSEEN, Column, Kind
from marmita.contract.rows import RowsReader
from marmita.contract.tables import ROWS, example_of, request_class, row_class
from tests.packed_tables import MIXED

ROW = {"age in years": 40, "plan": "basic", "region": "south", "balance": 1.5, "is active": False}


def reader(columns: tuple[Column, ...] = MIXED, *, extra: bool = False) -> RowsReader:
    row = row_class("churn", columns, extra=extra)
    return RowsReader(row, request_class(row, columns), ROWS, columns, extra=extra)


def body(*rows: dict[str, Any]) -> bytes:
    return json.dumps({ROWS: rows}).encode()


def slowly(read: RowsReader, content: bytes) -> Any:
    """Read a body by the request's class alone, as bodies with errors are."""
    return read.validated(read._request.model_validate_json(content))


ROWS_READ = [
    (ROW, [40, 0, 1, 1.5, 0]),
    (ROW | {"plan": "gold"}, [40, UNSEEN, 1, 1.5, 0]),
    (ROW | {"plan": "", "balance": None}, [40, np.nan, 1, np.nan, 0]),
    ({key: ROW[key] for key in ("age in years", "region", "is active")}, [40, np.nan, 1, np.nan, 0]),
    (dict(reversed(ROW.items())), [40, 0, 1, 1.5, 0]),
]


@pytest.mark.parametrize(("row", "encoded"), ROWS_READ)
def test_columns_are_read_by_name_and_in_the_same_way_on_both_paths(row: dict[str, Any], encoded: list[float]) -> None:
    read = reader()
    expected = np.array([encoded], np.float32)
    np.testing.assert_array_equal(read(body(row)), expected)
    np.testing.assert_array_equal(slowly(read, body(row)), expected)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"age in years": 1.5}, "age in years"),
        ({"age in years": 151}, "age in years"),
        ({"age in years": None}, "age in years"),
        ({"age in years": "40"}, "age in years"),
        ({"balance": 1e39}, "balance"),
        ({"region": "west"}, "region"),
        ({"region": ""}, "region"),
        ({"plan": 3}, "plan"),
        ({"plan": "x" * 1001}, "plan"),
        ({"is active": 1}, "is active"),
        ({"more": 1}, "more"),
    ],
)
def test_an_error_names_the_row_and_the_column(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as error:
        reader()(body(ROW, ROW | wrong))
    assert {tuple(one["loc"])[:3] for one in error.value.errors()} == {(ROWS, 1, place)}


def test_a_missing_column_is_an_error_unless_it_may_have_gaps() -> None:
    with pytest.raises(ValidationError) as error:
        reader()(body({}))
    assert {(one["loc"][2], one["type"]) for one in error.value.errors()} == {
        ("age in years", "missing"),
        ("region", "missing"),
        ("is active", "missing"),
    }


def test_more_columns_are_ignored_on_demand() -> None:
    read = reader(extra=True)
    more = body(ROW | {"more": [1], "c0": 3})
    np.testing.assert_array_equal(read(more), np.array([[40, 0, 1, 1.5, 0]], np.float32))
    np.testing.assert_array_equal(slowly(read, more), read(more))


def test_the_schema_has_the_columns_names_and_a_valid_example() -> None:
    row = row_class("churn", MIXED)
    _, schemas = models_json_schema([(request_class(row, MIXED), "validation")], by_alias=False)
    properties = schemas["$defs"]["churn_row"]["properties"]
    assert list(properties) == [column.name for column in MIXED]
    assert schemas["$defs"]["churn_row"]["required"] == ["age in years", "region", "is active"]
    assert properties["region"]["enum"] == ["north", "south"]
    assert "3.4028" not in json.dumps(schemas)
    (example,) = schemas["$defs"]["churn_rows"]["examples"]
    np.testing.assert_array_equal(reader()(json.dumps(example).encode()), np.array([[40, 1, 0, 12.5, 1]], np.float32))


@pytest.mark.parametrize(
    "name", ["class", "copy", "model_config", "_x", "a b", "preço R$", "", "rows", "c1", "'; DROP"]
)
def test_a_column_may_have_any_name(name: str) -> None:
    columns = (Column(name, example=1.0), Column("other", Kind.CATEGORY, categories=("a",), example="a"))
    np.testing.assert_array_equal(reader(columns)(body(example_of(columns))), np.array([[1, 0]], np.float32))
