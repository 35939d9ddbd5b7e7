"""The Open Inference Protocol as Triton's own client speaks it, in both topologies."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferRequestedOutput, InferResult

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, log_lines, metric, serve
from tests.e2e.tensors import INPUTS, OUTPUTS, address, answers_of, body, is_refused, rows_of, tensor
from tests.e2e.volley import volley
from tests.samples import INFER


def test_the_server_is_live_and_ready_and_says_what_it_is(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    about = triton.get_server_metadata()
    assert about["name"] == "marmita"
    assert about["version"]
    assert about["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("model", INPUTS)
def test_a_model_is_ready_and_says_what_it_takes_and_gives(
    triton: InferenceServerClient, champions: dict[str, PackedModel], model: str
) -> None:
    version = champions[model].version
    name, width = INPUTS[model]

    for asked in ("", version):
        assert triton.is_model_ready(model, asked)
        assert triton.get_model_metadata(model, asked) == {
            "name": model,
            "versions": [version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, width]}],
            "outputs": [
                {"name": output, "datatype": "FP32", "shape": [-1, columns]}
                for output, columns in OUTPUTS[model].items()
            ],
        }
    assert not triton.is_model_ready(model, "4711")
    assert not triton.is_model_ready("iris")


def test_readiness_is_told_in_the_protocol_s_words(server: Server) -> None:
    assert httpx.get(f"{server.url}/v2/health/live").json() == {"live": True}
    assert httpx.get(f"{server.url}/v2/health/ready").json() == {"ready": True}
    ready = httpx.get(f"{server.url}/v2/models/wine_quality/ready").json()
    assert ready == {"name": "wine_quality", "ready": True}


@pytest.mark.parametrize("as_bytes", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("model", INPUTS)
def test_tensors_get_the_answers_of_the_models_own_route(
    server: Server,
    triton: InferenceServerClient,
    champions: dict[str, PackedModel],
    model: str,
    as_bytes: tuple[bool, bool],
) -> None:
    into, out_of = as_bytes
    outputs = [InferRequestedOutput(name, binary_data=out_of) for name in OUTPUTS[model]]
    for count in (1, 7, 300):
        expected = answers_of(server, model, count)

        answer = triton.infer(model, [tensor(model, rows_of(model, count), binary=into)], outputs=outputs)

        described = answer.get_response()
        assert (described["model_name"], described["model_version"]) == (model, champions[model].version)
        for name, columns in OUTPUTS[model].items():
            values = answer.as_numpy(name)
            assert values.dtype == np.float32
            assert values.shape == (count, columns)
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-4)
            assert ("data" in answer.get_output(name)) is not out_of


@pytest.mark.parametrize("model", INPUTS)
def test_double_precision_is_taken_too(triton: InferenceServerClient, model: str) -> None:
    rows = rows_of(model, 5)
    single = triton.infer(model, [tensor(model, rows)])

    for binary in (True, False):
        double = triton.infer(model, [tensor(model, rows, "FP64", binary)])
        for name in OUTPUTS[model]:
            np.testing.assert_array_equal(double.as_numpy(name), single.as_numpy(name))


def test_only_what_is_asked_for_is_given_in_the_form_that_is_asked_for(triton: InferenceServerClient) -> None:
    asked = [tensor("wine_quality", rows_of("wine_quality", 3))]
    mixed = [InferRequestedOutput("high", binary_data=False), InferRequestedOutput("quality", binary_data=True)]
    everything = triton.infer("wine_quality", asked)

    some = triton.infer("wine_quality", asked, outputs=mixed)

    assert [output["name"] for output in everything.get_response()["outputs"]] == ["quality", "low", "high"]
    assert [output["name"] for output in some.get_response()["outputs"]] == ["high", "quality"]
    for name in ("high", "quality"):
        np.testing.assert_array_equal(some.as_numpy(name), everything.as_numpy(name))
    assert "data" in some.get_output("high")
    assert "data" not in some.get_output("quality")


def test_a_version_can_be_asked_for(triton: InferenceServerClient, champions: dict[str, PackedModel]) -> None:
    asked, version = [tensor("wine_quality", rows_of("wine_quality", 1))], champions["wine_quality"].version

    by_version = triton.infer("wine_quality", asked, model_version=version, request_id="a b/ü")

    assert by_version.get_response()["model_version"] == version
    assert by_version.get_response()["id"] == "a b/ü"


async def test_many_callers_at_once_get_their_own_answers(server: Server, champions: dict[str, PackedModel]) -> None:
    rows = rows_of("wine_quality", 200)
    expected = champions["wine_quality"].compiled()(rows)[:, 0]

    answers = await volley(server.url, INFER, [body(rows[n : n + 1], id=str(n)) for n in range(200)])

    assert [status for status, _ in answers] == [200] * 200
    assert [answer["id"] for _, answer in answers] == [str(number) for number in range(200)]
    found = [answer["outputs"][0]["data"][0] for _, answer in answers]
    assert found == pytest.approx(expected.tolist(), rel=1e-5)


def test_many_clients_at_once_get_their_own_answers(server: Server, champions: dict[str, PackedModel]) -> None:
    rows = {model: rows_of(model, 40) for model in INPUTS}
    expected = {model: champions[model].compiled()(rows[model]) for model in INPUTS}

    def ask(worker: int) -> list[tuple[str, int, InferResult]]:
        with InferenceServerClient(address(server)) as client:
            asked = [(model, number) for number in range(worker, 40, 8) for model in INPUTS]
            return [(m, n, client.infer(m, [tensor(m, rows[m][n : n + 1], binary=n % 2 == 0)])) for m, n in asked]

    with ThreadPoolExecutor(8) as pool:
        answers = [answer for some in pool.map(ask, range(8)) for answer in some]

    assert len(answers) == 40 * len(INPUTS)
    for model, number, answer in answers:
        together = np.hstack([answer.as_numpy(name) for name in OUTPUTS[model]])
        np.testing.assert_allclose(together[0], expected[model][number], rtol=1e-5, atol=1e-6)


def test_the_largest_request_is_answered_row_by_row(triton: InferenceServerClient) -> None:
    rows = np.tile(rows_of("wine_quality", 1000), (10, 1))

    for binary in (True, False):
        scores = triton.infer("wine_quality", [tensor("wine_quality", rows, binary=binary)]).as_numpy("quality")
        np.testing.assert_array_equal(scores, np.tile(scores[:1000], (10, 1)))
    is_refused(triton, "wine_quality", tensor("wine_quality", np.vstack([rows, rows[:1]])), "413", 10_000, 10_001)


def test_bytes_may_come_without_their_media_type(server: Server) -> None:
    rows = rows_of("wine_quality", 2)
    head = json.dumps(body(rows, outputs=[{"name": "high"}, {"name": "low", "parameters": {"binary_data": True}}]))

    for media_type in ("application/octet-stream", "application/json", "Application/JSON; charset=utf-8"):
        sizes = {"inference-header-content-length": str(len(head)), "content-type": media_type}
        answer = httpx.post(f"{server.url}{INFER}", content=head, headers=sizes)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        size = int(answer.headers["inference-header-content-length"])
        high, low = json.loads(answer.content[:size])["outputs"]
        assert low["parameters"] == {"binary_data_size": 8}
        assert (np.frombuffer(answer.content[size:], "<f4") < high["data"]).all()


def test_a_request_is_counted_as_those_of_the_models_own_route_are(server: Server) -> None:
    rows = rows_of("wine_quality", 3)
    rows[0, 10] = 90  # alcohol
    names = {
        "requests": ("bentoml_service_request_total", {"endpoint": INFER, "http_response_code": "200"}),
        "wrong": ("bentoml_service_request_total", {"endpoint": INFER, "http_response_code": "400"}),
        "seconds": ("bentoml_service_request_duration_seconds_count", {"endpoint": INFER}),
        "rows": ("marmita_rows_total", {"model": "wine_quality"}),
        "predictions": ("marmita_predictions_total", {"model": "wine_quality"}),
        "unusual": ("marmita_unusual_inputs_total", {"model": "wine_quality", "feature": "alcohol"}),
        "inferences": ("marmita_inference_seconds_count", {"model": "wine_quality"}),
    }

    def now() -> Counter[str]:
        return Counter(
            {
                what: int(metric(server, name, **labels, **({"runner_name": "Marmita"} if "bentoml" in name else {})))
                for what, (name, labels) in names.items()
            }
        )

    before = now()
    for _ in range(10):
        assert httpx.post(f"{server.url}{INFER}", json=body(rows)).status_code == 200
    assert httpx.post(f"{server.url}{INFER}", json={}).status_code == 400

    expected = {
        "requests": 10,
        "wrong": 1,
        "seconds": 11,
        "rows": 30,
        "predictions": 30,
        "unusual": 10,
        "inferences": 10,
    }
    deadline = time.monotonic() + 10  # counts are written after the answers were sent
    while (grown := now() - before) != expected or metric(
        server, "bentoml_service_request_in_progress", endpoint=INFER
    ):
        assert time.monotonic() < deadline, grown
        time.sleep(0.05)


def test_a_request_id_goes_back_and_into_the_log(server: Server) -> None:
    id = {"x-request-id": "tensors-4711"}

    answer = httpx.post(f"{server.url}{INFER}", json=body(rows_of("wine_quality", 1)), headers=id)
    wrong = httpx.post(f"{server.url}{INFER}", json={}, headers=id)

    assert answer.headers["x-request-id"] == wrong.headers["x-request-id"] == "tensors-4711"
    deadline = time.monotonic() + 10  # lines are written after the answers were sent
    while len(found := [line for line in log_lines(server) if line.get("request_id") == "tensors-4711"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {(line["method"], line["path"], line["status"]) for line in found} == {
        ("POST", INFER, 200),
        ("POST", INFER, 400),
    }


def test_a_model_alone_serves_itself_and_no_other(own_home: Path) -> None:
    with (
        serve(own_home, "bentos.wine_quality:WineQuality") as server,
        InferenceServerClient(address(server)) as triton,
    ):
        assert triton.get_server_metadata()["name"] == "winequality"
        assert triton.is_server_ready()
        assert triton.is_model_ready("wine_quality")
        assert not triton.is_model_ready("fetal_health")
        expected = answers_of(server, "wine_quality", 3)["quality"]
        answer = triton.infer("wine_quality", [tensor("wine_quality", rows_of("wine_quality", 3))])
        np.testing.assert_allclose(answer.as_numpy("quality"), expected, rtol=1e-5, atol=1e-4)
        is_refused(triton, "fetal_health", tensor("fetal_health", rows_of("fetal_health", 1)), "404")
