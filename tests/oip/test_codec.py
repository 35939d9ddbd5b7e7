"""Requests and answers of the Open Inference Protocol, and every way in which a request can be wrong."""

import json
import random
import string
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS
from marmita.contract.rows import Floats
from marmita.oip.codec import InferenceRequest, read, write
from marmita.runtime.signature import Signature, ValueBounds
from tests.messages import mentions

ANYTHING = ValueBounds([{"name": name, "low": None, "high": None} for name in ("x", "y", "z")])
SIGNATURE = Signature("trees", "v1", "features", 3, {"middle": 1, "ends": 2}, ANYTHING)
VALUES = [1.5, -2.0, 0.25]


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def request(*, top: dict[str, Any] | None = None, **tensor: Any) -> bytes:
    """A good request for one row, but for what is given. What is `...` is left out."""
    whole = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": VALUES} | tensor
    inputs = [{name: value for name, value in whole.items() if value is not ...}]
    return json.dumps({"inputs": inputs} | (top or {})).encode()


def with_bytes(content: bytes, **tensor: Any) -> tuple[bytes, int]:
    """A good request whose values are plain bytes behind the JSON."""
    head = request(data=..., **({"parameters": {"binary_data_size": len(content)}} | tensor))
    return head + content, len(head)


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


def answered(asked: InferenceRequest, outputs: Floats) -> tuple[dict[str, Any], bytes]:
    """An answer's JSON and the bytes behind it."""
    body, json_size = write(asked, outputs, SIGNATURE)
    return json.loads(body[:json_size]), b"" if json_size is None else body[json_size:]


def test_values_in_the_json_are_read_flat_and_nested() -> None:
    flat = read(request(shape=[2, 3], data=[1, 2, 3, 4, 5, 6.5]), None, SIGNATURE)
    nested = read(request(shape=[2, 3], data=[[1, 2, 3], [4, 5, 6.5]]), None, SIGNATURE)

    assert flat.rows.dtype == nested.rows.dtype == np.float32
    assert flat.rows.tolist() == nested.rows.tolist() == [[1, 2, 3], [4, 5, 6.5]]


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "<f4"), ("FP64", "<f8")])
def test_values_behind_the_json_are_read(datatype: str, dtype: str) -> None:
    rows = np.arange(6).reshape(2, 3) / 4

    asked = read(*with_bytes(rows.astype(dtype).tobytes(), shape=[2, 3], datatype=datatype), SIGNATURE)

    assert asked.rows.dtype == np.float32
    assert asked.rows.tolist() == rows.tolist()


@pytest.mark.parametrize("as_bytes", [True, False])
def test_what_goes_in_and_out_stays_the_same(as_bytes: bool) -> None:
    """Any number of single precision, to the last bit."""
    generator = np.random.default_rng(11)
    bits = generator.integers(0, 2**32, (500, 3), dtype=np.uint32).view(np.float32)
    rows = np.where(np.isfinite(bits), bits, np.float32(0))
    if as_bytes:
        asked = read(*with_bytes(rows.tobytes(), shape=list(rows.shape)), SIGNATURE)
    else:
        asked = read(request(shape=list(rows.shape), data=rows.ravel().tolist()), None, SIGNATURE)

    assert asked.rows.tobytes() == rows.tobytes()
    answer, behind = answered(asked._replace(outputs=[("middle", as_bytes), ("ends", as_bytes)]), asked.rows)
    if as_bytes:
        sizes = [output["parameters"]["binary_data_size"] for output in answer["outputs"]]
        assert sizes == [500 * 4, 1000 * 4]
        middle, ends = (np.frombuffer(part, "<f4") for part in (behind[: sizes[0]], behind[sizes[0] :]))
    else:
        middle, ends = (np.array(output["data"], np.float32) for output in answer["outputs"])
    assert np.hstack([middle.reshape(500, 1), ends.reshape(500, 2)]).tobytes() == rows.tobytes()


def test_an_answer_says_what_it_is() -> None:
    asked = read(request(top={"id": "7"}), None, SIGNATURE)

    answer, behind = answered(asked, np.array([[1, 2, 3]], np.float32))

    assert answer == {
        "model_name": "trees",
        "model_version": "v1",
        "id": "7",
        "outputs": [
            {"name": "middle", "datatype": "FP32", "shape": [1, 1], "data": [1.0]},
            {"name": "ends", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 3.0]},
        ],
    }
    assert behind == b""


@pytest.mark.parametrize("id", ["", "42", 'ä 😀 "\\ \n \x00', "x" * 10_000])
def test_an_id_comes_back_as_it_was(id: str) -> None:
    asked = read(request(top={"id": id}), None, SIGNATURE)

    assert answered(asked, np.zeros((1, 3), np.float32))[0]["id"] == id


@pytest.mark.parametrize("id", [1, True, [], {}])
def test_an_id_that_is_no_string_is_refused(id: object) -> None:
    assert mentions(invalid(request(top={"id": id})), "id")


def test_no_id_is_none() -> None:
    assert "id" not in answered(read(request(top={"id": None}), None, SIGNATURE), np.zeros((1, 3), np.float32))[0]


BINARY = {"parameters": {"binary_data": True}}
NOT_BINARY = {"parameters": {"binary_data": False}}
ALL_BINARY = {"binary_data_output": True}


@pytest.mark.parametrize(
    ("top", "wanted"),
    [
        ({}, [("middle", False), ("ends", False)]),
        ({"outputs": None, "parameters": None}, [("middle", False), ("ends", False)]),
        ({"outputs": []}, [("middle", False), ("ends", False)]),
        ({"parameters": ALL_BINARY}, [("middle", True), ("ends", True)]),
        ({"parameters": {"binary_data_output": None, "priority": 1}}, [("middle", False), ("ends", False)]),
        ({"outputs": [{"name": "ends"}]}, [("ends", False)]),
        ({"outputs": [{"name": "ends"}, {"name": "middle"}]}, [("ends", False), ("middle", False)]),
        ({"outputs": [{"name": "ends"} | BINARY, {"name": "middle"}]}, [("ends", True), ("middle", False)]),
        ({"outputs": [{"name": "ends"}, {"name": "ends"} | BINARY]}, [("ends", True)]),
        ({"outputs": [{"name": "ends"}], "parameters": ALL_BINARY}, [("ends", True)]),
        ({"outputs": [{"name": "ends"} | NOT_BINARY], "parameters": ALL_BINARY}, [("ends", False)]),
    ],
)
def test_outputs_are_given_as_they_are_asked_for(top: dict[str, Any], wanted: list[tuple[str, bool]]) -> None:
    assert read(request(top=top), None, SIGNATURE).outputs == wanted


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


def test_a_request_of_json_alone_may_say_its_size() -> None:
    assert read(request(), len(request()), SIGNATURE).rows.tolist() == [VALUES]


STRANGE: list[Any] = [None, True, False, 0, 1, -1, 3, 12, 2**31, 2**63, 10**30, 1.5, 1e308, "", "x", "ä\x00", [], {}]
KEYS = ["inputs", "outputs", "parameters", "id", "name", "shape", "datatype", "data", "binary_data", "binary_data_size"]
KEYS += ["binary_data_output", "features", "ends", "FP32"]


def anything(chance: random.Random, depth: int = 4) -> Any:
    """Any JSON value, made of words that mean something here more often than not."""
    kind = chance.randrange(8)
    if depth and kind == 0:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    if depth and kind == 1:
        return {chance.choice(KEYS): anything(chance, depth - 1) for _ in range(chance.randrange(5))}
    if kind == 2:
        return chance.choice(KEYS)
    if kind == 3:
        return "".join(chance.choices(string.printable, k=chance.randrange(9)))
    if kind == 4:
        return chance.choice([chance.gauss(0, 1e6), chance.randrange(-(2**70), 2**70)])
    return chance.choice(STRANGE)


def spoilt(value: Any, chance: random.Random) -> Any:
    """A value, somewhere in which something may have been replaced, left out or added."""
    if chance.random() < 0.03:
        return anything(chance, 2)
    if isinstance(value, list):
        more = [anything(chance, 2)] if chance.random() < 0.03 else []
        return [spoilt(part, chance) for part in value if chance.random() > 0.02] + more
    if isinstance(value, dict):
        other = {chance.choice(KEYS): anything(chance, 2)} if chance.random() < 0.1 else {}
        return {name: spoilt(part, chance) for name, part in value.items() if chance.random() > 0.02} | other
    return value


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_sent_is_answered_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    whole = {"id": "7", "parameters": {"binary_data_output": True}, "outputs": [{"name": "ends"} | BINARY]}
    tensor: dict[str, Any] = {"name": "features", "shape": [1, 3], "datatype": "FP32"}
    good = [
        {**whole, "inputs": [{**tensor, "data": VALUES}]},
        {**whole, "inputs": [{**tensor, "parameters": {"binary_data_size": 12}}]},
        {"inputs": [{**tensor, "shape": [2, 3], "data": [VALUES, VALUES]}]},
    ]
    answers = 0
    for turn in range(2_000):
        value = anything(chance) if turn % 4 == 0 else spoilt(chance.choice(good), chance)
        head = json.dumps(value).encode()
        behind = chance.choice([b"", bytes(12), chance.randbytes(chance.randrange(30))])
        body, size = chance.choice([(head, None), (head + behind, len(head))])
        if chance.random() < 0.05:
            body = body[: chance.randrange(len(body) + 1)]
            size = None if size is None else min(size, len(body))
        with suppress(RequestError):
            asked = read(body, size, SIGNATURE)
            answered(asked, asked.rows)
            answers += 1

    assert 100 < answers < 1900
