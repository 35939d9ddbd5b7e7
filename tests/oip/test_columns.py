"""Tables in tensors: one for each column, checked against the contract."""

import struct
from typing import Any

import numpy as np
import pytest

from marmita.contract.columns import UNSEEN, Column, Kind
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS
from marmita.oip.columns import describe, example_tensors, read
from tests.packed_tables import MIXED

AGE = {"name": "age in years", "datatype": "INT64", "shape": [2], "data": [40, 1]}
REGION = {"name": "region", "datatype": "BYTES", "shape": [2, 1], "data": [["north"], ["south"]]}
ACTIVE = {"name": "is active", "datatype": "BOOL", "shape": [2], "data": [True, False]}
ALL = [AGE, REGION, ACTIVE]


def raw(tensor: dict[str, Any], content: bytes) -> dict[str, Any]:
    kept = {key: value for key, value in tensor.items() if key != "data"}
    return kept | {"parameters": {"binary_data_size": len(content)}}


def test_columns_come_in_any_order_and_those_with_gaps_may_be_missing() -> None:
    expected = np.array([[40, np.nan, 0, np.nan, 1], [1, np.nan, 1, np.nan, 0]], np.float32)
    np.testing.assert_array_equal(read(ALL, b"", MIXED), expected)
    np.testing.assert_array_equal(read(ALL[::-1], b"", MIXED), expected)


def test_null_and_nan_are_gaps_and_a_new_word_is_unseen() -> None:
    plan = {"name": "plan", "datatype": "BYTES", "shape": [2], "data": ["gold", None]}
    balance = raw({"name": "balance", "datatype": "FP32", "shape": [2]}, b"12345678")
    rows = read([*ALL, plan, balance], struct.pack("<2f", np.nan, 2), MIXED)
    np.testing.assert_array_equal(rows[:, [1, 3]], np.array([[UNSEEN, np.nan], [np.nan, 2]], np.float32))


@pytest.mark.parametrize(
    ("datatype", "form"), [("INT8", "b"), ("INT32", "i"), ("INT64", "q"), ("UINT16", "H"), ("FP32", "f"), ("FP64", "d")]
)
def test_raw_numbers_may_have_any_size(datatype: str, form: str) -> None:
    content = struct.pack(f"<2{form}", 40, 1)
    rows = read([raw(AGE | {"datatype": datatype}, content), REGION, ACTIVE], content, MIXED)
    assert rows[:, 0].tolist() == [40, 1]


def test_an_example_can_be_sent() -> None:
    (row,) = read(example_tensors(MIXED), b"", MIXED).tolist()
    assert row == [40, 1, 0, 12.5, 1]
    assert {one["name"]: one["datatype"] for one in describe(MIXED)} == {
        "age in years": "INT64",
        "plan": "BYTES",
        "region": "BYTES",
        "balance": "FP64",
        "is active": "BOOL",
    }


@pytest.mark.parametrize(
    ("tensors", "binary", "named"),
    [
        ([AGE, REGION], b"", "is active"),
        ([*ALL, AGE], b"", "age in years"),
        ([*ALL, AGE | {"name": "more"}], b"", "more"),
        ([*ALL, 3], b"", "None"),
        ([AGE | {"name": ["x"]}], b"", "x"),
        ([AGE | {"datatype": "BYTES"}, REGION, ACTIVE], b"", "INT64"),
        ([AGE | {"datatype": ["FP32"]}, REGION, ACTIVE], b"", "INT64"),
        ([AGE | {"shape": [3]}, REGION, ACTIVE], b"", "age in years"),
        ([AGE | {"shape": [1, 2]}, REGION, ACTIVE], b"", "age in years"),
        ([AGE | {"shape": [True]}, REGION, ACTIVE], b"", "age in years"),
        ([AGE | {"shape": [-1]}, REGION, ACTIVE], b"", "age in years"),
        ([AGE | {"shape": [1], "data": [1]}, REGION, ACTIVE], b"", "2"),
        ([AGE | {"data": 3}, REGION, ACTIVE], b"", "age in years"),
        ([AGE | {"data": [40, 1.5]}, REGION, ACTIVE], b"", "row 1, age in years"),
        ([AGE | {"data": [40, None]}, REGION, ACTIVE], b"", "row 1, age in years"),
        ([AGE | {"data": [151, 1]}, REGION, ACTIVE], b"", "row 0, age in years"),
        ([AGE | {"data": [10**400, 1]}, REGION, ACTIVE], b"", "row 0, age in years"),
        ([AGE, REGION | {"data": ["north", "west"]}, ACTIVE], b"", "row 1, region"),
        ([AGE, REGION | {"data": [["north", "x"], "south"]}, ACTIVE], b"", "row 0, region"),
        ([AGE, REGION, ACTIVE | {"data": [1, 0]}], b"", "row 0, is active"),
        ([raw(AGE, b"x" * 16), REGION, ACTIVE], b"x" * 15, "15"),
        ([raw(AGE, b"x" * 15), REGION, ACTIVE], b"x" * 15, "15"),
        ([AGE, raw(REGION, b"x" * 5), ACTIVE], b"\xff\xff\xff\xff1", "BYTES"),
        ([AGE, raw(REGION, b"x" * 5), ACTIVE], b"\x01\x00\x00\x00\xff", "UTF-8"),
        ([AGE, raw(REGION, b"x" * 3), ACTIVE], b"\x01\x00\x00", "BYTES"),
        ([*ALL], b"xx", "2 bytes"),
        ([AGE | {"parameters": {"binary_data_size": 8}}, REGION, ACTIVE], b"x" * 8, "age in years"),
        ([AGE | {"data": None, "parameters": {"binary_data_size": -1}}, REGION, ACTIVE], b"", "binary_data_size"),
        ([], b"", "age in years"),
    ],
)
def test_an_error_names_what_is_wrong(tensors: list[Any], binary: bytes, named: str) -> None:
    with pytest.raises(RequestError) as error:
        read(tensors, binary, MIXED)
    assert error.value.code == ErrorCode.INVALID_REQUEST
    assert named in error.value.error
    assert len(error.value.error) < 300


def test_the_number_of_rows_is_bounded() -> None:
    columns = (Column("x", example=1.0),)
    for count, code in ((0, ErrorCode.INVALID_REQUEST), (MAX_ROWS + 1, ErrorCode.TOO_MANY_ITEMS)):
        with pytest.raises(RequestError) as error:
            read([{"name": "x", "datatype": "FP32", "shape": [count], "data": [1] * count}], b"", columns)
        assert error.value.code == code


def test_a_category_without_unseen_words_takes_only_its_own() -> None:
    closed = (Column("c", Kind.CATEGORY, categories=("a",), example="a"),)
    with pytest.raises(RequestError) as error:
        read([{"name": "c", "datatype": "BYTES", "shape": [1], "data": ["b"]}], b"", closed)
    assert "row 0, c" in error.value.error
