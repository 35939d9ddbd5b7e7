"""Requests and answers of the Open Inference Protocol."""

from typing import Any

import numpy as np
import pytest

from marmita.oip.codec import describe, read
from tests.oip.tensors import BINARY, SIGNATURE, VALUES, answered, request, with_bytes

pytestmark = pytest.mark.filterwarnings("error")


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


def test_no_id_is_none() -> None:
    assert "id" not in answered(read(request(top={"id": None}), None, SIGNATURE), np.zeros((1, 3), np.float32))[0]


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


def test_a_request_of_json_alone_may_say_its_size() -> None:
    assert read(request(), len(request()), SIGNATURE).rows.tolist() == [VALUES]


def test_a_signature_describes_itself_in_the_protocol_s_words() -> None:
    assert describe(SIGNATURE) == {
        "name": "trees",
        "versions": ["v1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {"name": "middle", "datatype": "FP32", "shape": [-1, 1]},
            {"name": "ends", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }
