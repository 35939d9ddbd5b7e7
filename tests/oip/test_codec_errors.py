"""Every way in which a request of the Open Inference Protocol can be wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS
from marmita.oip.codec import read
from marmita.runtime.signature import ValueBounds
from tests.messages import mentions
from tests.oip.tensors import SIGNATURE, VALUES, request, with_bytes

pytestmark = pytest.mark.filterwarnings("error")


def refused(body: bytes, json_size: int | None = None) -> RequestError:
    with pytest.raises(RequestError) as error:
        read(body, json_size, SIGNATURE)
    assert len(error.value.error) < 200
    return error.value


def invalid(body: bytes, json_size: int | None = None) -> str:
    """What is said of a request that is wrong, and not too large."""
    error = refused(body, json_size)
    assert error.code == ErrorCode.INVALID_REQUEST
    return error.error


@pytest.mark.parametrize("id", [1, True, [], {}])
def test_an_id_that_is_no_string_is_refused(id: object) -> None:
    assert mentions(invalid(request(top={"id": id})), "id")


@pytest.mark.parametrize(
    "outputs",
    [
        *({}, {"name": "ends"}, 0, False, "ends", ["ends"], [None], [{}], [[]], [{"name": None}], [{"name": ["ends"]}]),
        *([{"name": "features"}], [{"name": "ends"}, {"name": "x" * 1000}]),
    ],
)
def test_outputs_that_there_are_not_are_refused(outputs: object) -> None:
    assert mentions(invalid(request(top={"outputs": outputs})), "outputs", "middle", "ends")


@pytest.mark.parametrize("parameters", [1, True, "x", [], [True], 0])
def test_parameters_that_are_no_object_are_refused(parameters: object) -> None:
    for body in (
        request(parameters=parameters),
        request(top={"parameters": parameters}),
        request(top={"outputs": [{"name": "ends", "parameters": parameters}]}),
    ):
        assert mentions(invalid(body), "parameters")


@pytest.mark.parametrize("value", [0, 1, "true", [], 1.0])
def test_a_parameter_of_the_wrong_kind_is_refused(value: object) -> None:
    all_binary, binary = {"binary_data_output": value}, {"binary_data": value}

    assert mentions(invalid(request(top={"parameters": all_binary})), "binary_data_output")
    assert mentions(invalid(request(top={"outputs": [{"name": "ends", "parameters": binary}]})), "binary_data")


def test_parameters_that_would_change_the_answer_are_not_passed_over() -> None:
    shared = {"shared_memory_region": "here", "shared_memory_byte_size": 12}
    classes = [{"name": "ends", "parameters": {"classification": 1}}]

    assert mentions(invalid(request(data=..., parameters=shared)), "shared_memory_region")
    assert mentions(invalid(request(top={"outputs": classes})), "classification")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"x", b"\xff", b'{"inputs": [', b"{'inputs': []}", b"{}{}", b"\xef\xbb\xbf{}", b"NaN"),
        *(b"[" * 10_000, b'{"a":' * 10_000, b'{"id": "\\ud800"}', b'{"id": ' + b"9" * 5_000 + b"}"),
        *(request().replace(b"1.5", number) for number in (b"NaN", b"Infinity", b"-Infinity", b"01", b".5", b"0x1")),
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert mentions(invalid(body), "JSON")


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"1", b'"inputs"', b"null", b"{}", b'{"inputs": null}', b'{"inputs": {}}', b'{"inputs": []}'),
        *(
            b'{"inputs": [1]}',
            b'{"inputs": [{}]}',
            b'{"inputs": [{"name": 1}]}',
            b'{"inputs": [[{"name": "features"}]]}',
        ),
        b'{"inputs": [{"name": "features"}, {"name": "features"}]}',
    ],
)
def test_what_has_not_the_one_input_is_refused(body: bytes) -> None:
    assert mentions(invalid(body), "inputs", "features")


def test_an_input_of_another_name_is_refused_by_its_name() -> None:
    assert mentions(invalid(request(name="wines")), "features", "wines")
    assert mentions(invalid(request(name="x" * 10_000)), "features")


@pytest.mark.parametrize(
    "shape",
    [
        *(None, ..., 3, "13", {}, [], [3], [1], [1, 1, 3], [3, 1], [1, 4], [1, -3], [True, 3], [1, 3.0], [1.0, 3]),
        *(["1", "3"], [[1], 3], [None, 3], [1, 10**4000], list(range(10_000))),
    ],
)
def test_a_shape_of_another_kind_is_refused(shape: object) -> None:
    assert mentions(invalid(request(shape=shape)), "features", "shape", "[rows, 3]")


@pytest.mark.parametrize("count", [0, -1, -(10**4000)])
def test_less_than_one_row_is_refused(count: int) -> None:
    assert mentions(invalid(request(shape=[count, 3], data=[])), "features", "row")


@pytest.mark.parametrize("count", [MAX_ROWS + 1, 2**63, 10**4000])
def test_too_many_rows_are_too_much(count: int) -> None:
    error = refused(request(shape=[count, 3]))

    assert error.code == ErrorCode.TOO_MANY_ITEMS
    assert mentions(error.error, MAX_ROWS, "rows")


@pytest.mark.parametrize("nested", [True, False])
def test_the_most_rows_are_read(nested: bool) -> None:
    data = [VALUES] * MAX_ROWS if nested else VALUES * MAX_ROWS

    assert read(request(shape=[MAX_ROWS, 3], data=data), None, SIGNATURE).rows.shape == (MAX_ROWS, 3)
    assert refused(request(shape=[MAX_ROWS + 1, 3], data=data)).code == ErrorCode.TOO_MANY_ITEMS


@pytest.mark.parametrize("item", ["[],", "{},", "[[]],", '{"a": 1},'])
def test_what_takes_long_to_read_is_too_much(item: str) -> None:
    assert refused(f'{{"inputs": [{item * 100_000} 1]}}'.encode()).code == ErrorCode.TOO_MANY_ITEMS


@pytest.mark.parametrize("datatype", [None, ..., "", "fp32", "FP16", "INT64", "BYTES", 32, ["FP32"], {"FP32": 1}])
def test_other_datatypes_are_refused(datatype: object) -> None:
    assert mentions(invalid(request(datatype=datatype)), "features", "datatype", "FP32", "FP64")


@pytest.mark.parametrize(
    "data",
    [
        *(None, ..., "abc", 1, {}, {"0": 1}, [True, 1, 2], ["1", "2", "3"], [None, 1, 2], [1, 2, [3]], [[1, 2], 3]),
        *([[1, 2], [3]], [[1, 2, 3, 4]], [[]], [[[1, 2, 3]]], [{}, {}, {}], [[1, 2, True]], [[1, 2, "3"]]),
    ],
)
def test_data_that_is_no_list_of_numbers_is_refused(data: object) -> None:
    assert mentions(invalid(request(data=data)), "data", "numbers")


def test_rows_of_unequal_length_are_refused_though_their_sum_is_right() -> None:
    assert mentions(invalid(request(shape=[2, 3], data=[[1, 2], [3, 4, 5, 6]])), "data", 3)


@pytest.mark.parametrize("data", [[], [1], [1, 2], [1, 2, 3, 4], VALUES * 2])
def test_another_number_of_values_than_the_shape_says_is_refused(data: list[float]) -> None:
    assert mentions(invalid(request(data=data)), "features", len(data), "[1, 3]")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e39", "3.5e38", str(10**39), "-" + str(10**400)])
def test_numbers_that_do_not_fit_are_refused(number: str) -> None:
    said = invalid(request(datatype="FP64").replace(b"1.5", number.encode()))

    assert mentions(said, "finite") or mentions(said, 0, "x", "-3.40282e+38", "3.40282e+38")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", np.float32), ("FP64", np.float64)])
def test_bytes_that_are_no_finite_numbers_are_refused_by_their_row(value: float, datatype: str, dtype: type) -> None:
    rows: np.ndarray[Any, np.dtype[Any]] = np.zeros((5, 3), dtype)
    rows[3, 1] = value

    assert mentions(invalid(*with_bytes(rows.tobytes(), shape=[5, 3], datatype=datatype)), 3, "y", "finite")


def test_bytes_that_do_not_fit_into_single_precision_are_refused() -> None:
    signalling = np.array([0x7FF0000000000001, 0, 0], np.uint64).tobytes()

    for content, field in ((np.array([0, 1e300, 0]).tobytes(), "y"), (signalling, "x")):
        assert mentions(invalid(*with_bytes(content, datatype="FP64")), 0, field)


def test_values_that_the_contract_rules_out_are_refused_by_row_and_field() -> None:
    ph, alcohol = {"name": "ph", "low": 0, "high": 14}, {"name": "alcohol", "low": 0.1, "high": None}
    bounds = ValueBounds([ph, alcohol, {"name": "age", "low": None, "high": 1e300}])
    bounded = replace(SIGNATURE, bounds=bounds)
    most = float(np.finfo(np.float32).max)

    def said(*values: float) -> str:
        with pytest.raises(RequestError) as error:
            read(request(shape=[2, 3], data=[[0, 1, 0], values]), None, bounded)
        assert error.value.code == ErrorCode.INVALID_REQUEST
        return error.value.error

    for fits in ([0, 0.1, -most], [14, most, most], [0, float(np.float32(0.1)), 0], [float(np.float32(3.3)), 1, 0]):
        assert read(request(data=fits), None, bounded).rows.tolist()[0] == pytest.approx(fits)
    assert mentions(said(14.1, 1, 0), 1, "ph", 0, 14)
    assert mentions(said(0, 0, 0), 1, "alcohol", 0.1)
    assert mentions(said(0, 1, 1e39), 1, "age", "-3.40282e+38", "3.40282e+38")


@pytest.mark.parametrize("size", [0, 11, 13, 24, -12, -1, 2**63, 10**4000])
def test_a_size_that_is_not_that_of_the_bytes_is_refused(size: int) -> None:
    assert mentions(invalid(*with_bytes(bytes(12), parameters={"binary_data_size": size})), "binary_data_size", 12)


@pytest.mark.parametrize("size", [True, False, 12.0, "12", [12]])
def test_a_size_that_is_no_whole_number_is_refused(size: object) -> None:
    assert mentions(invalid(*with_bytes(bytes(12), parameters={"binary_data_size": size})), "binary_data_size")


def test_bytes_that_are_too_few_or_too_many_or_nobody_s_are_refused() -> None:
    for count in (4, 8, 16):
        assert mentions(invalid(*with_bytes(bytes(count))), "features", count // 4, "[1, 3]")
    assert mentions(invalid(*with_bytes(bytes(11))), 11)
    assert mentions(invalid(*with_bytes(bytes(12), datatype="FP64")), 12)
    assert mentions(invalid(*with_bytes(b"")), "features", 0, "[1, 3]")
    assert mentions(invalid(*with_bytes(bytes(12), parameters={})), "binary_data_size")
    assert mentions(invalid(request() + b"x", len(request())), "binary_data_size")
    assert mentions(invalid(request(data=..., parameters={"binary_data_size": 12})), "binary_data_size", 12, 0)


def test_values_in_both_places_are_refused() -> None:
    head = request(parameters={"binary_data_size": 12})

    assert mentions(invalid(head + bytes(12), len(head)), "features", "data", "binary_data_size")


def test_json_that_ends_elsewhere_than_was_said_is_refused() -> None:
    body, size = with_bytes(bytes(12))

    for wrong in (0, 1, size - 1, size + 1, len(body)):
        assert refused(body, wrong).code == ErrorCode.INVALID_REQUEST
