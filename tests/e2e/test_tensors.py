"""The Open Inference Protocol as Triton's own client speaks it, and as nobody should, in both topologies."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from marmita.contract.rows import Floats
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, serve, wait_until_ready
from tests.e2e.test_limits_and_traces import overrides
from tests.e2e.test_serving import log_lines, metric
from tests.e2e.volley import volley
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, INFER, SCORE, exams, series, wines

INPUTS = {"fetal_health": ("features", 21), "wine_quality": ("features", 11), "stock_forecast": ("closes", 60)}
OUTPUTS = {
    "fetal_health": {"probabilities": 3},
    "wine_quality": {"quality": 1, "low": 1, "high": 1},
    "stock_forecast": {"close": 10, "low": 10, "high": 10},
}
NUMBERS = {"FP32": np.float32, "FP64": np.float64}


def rows_of(model: str, count: int, start: int = 0) -> Floats:
    """The same rows that `answers_of` asks for."""
    if model == "stock_forecast":
        return np.array([one["closes"] for one in series(count, start)["series"]], np.float32)
    named = exams(count, start)["exams"] if model == "fetal_health" else wines(count, start)["wines"]
    return np.array([list(row.values()) for row in named], np.float32)


def answers_of(server: Server, model: str, count: int) -> dict[str, Floats]:
    """What the model's own route says, as tensors."""
    if model == "fetal_health":
        statuses = httpx.post(f"{server.url}{CLASSIFY}", json=exams(count)).json()
        return {"probabilities": np.array([list(status["probabilities"].values()) for status in statuses])}
    if model == "wine_quality":
        scores = httpx.post(f"{server.url}{SCORE}", json=wines(count)).json()
        found = [(score["quality"], score["interval"]["low"], score["interval"]["high"]) for score in scores]
        return dict(zip(OUTPUTS[model], np.array(found).T.reshape(3, count, 1), strict=True))
    forecasts = httpx.post(f"{server.url}{FORECAST}", json=series(count, horizon=10)).json()
    return {
        name: np.array([[step[name] for step in forecast["path"]] for forecast in forecasts]) for name in OUTPUTS[model]
    }


def tensor(
    model: str, rows: Floats, datatype: str = "FP32", binary: bool = True, name: str | None = None
) -> InferInput:
    asked = InferInput(name or INPUTS[model][0], rows.shape, datatype)
    return asked.set_data_from_numpy(rows.astype(NUMBERS[datatype]), binary_data=binary)


def address(server: Server) -> str:
    return server.url.removeprefix("http://")


@pytest.fixture
def triton(server: Server) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(address(server)) as client:
        yield client


def body(rows: Floats, **top: Any) -> dict[str, Any]:
    """A request to the wine's model in JSON."""
    values = {"name": "features", "shape": rows.shape, "datatype": "FP32", "data": rows.ravel().tolist()}
    return {"inputs": [values], **top}


def is_refused(
    triton: InferenceServerClient, model: str, asked: InferInput, status: str, *named: object, **more: Any
) -> None:
    """Assert that a request is answered with this status, and with an error that mentions these values."""
    with pytest.raises(InferenceServerException) as error:
        triton.infer(model, [asked], **more)
    assert error.value.status() == status
    assert mentions(error.value.message(), *named)


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


def test_mistakes_are_told_in_the_server_s_words(triton: InferenceServerClient) -> None:
    model, rows = "wine_quality", rows_of("wine_quality", 2)
    good, strange = tensor(model, rows), rows.copy()
    strange[1, 4] = np.nan
    integers = InferInput("features", [2, 11], "INT32").set_data_from_numpy(np.ones((2, 11), np.int32))
    zeros = tensor("stock_forecast", np.zeros((1, 60), np.float32))

    is_refused(triton, "iris", good, "404")
    is_refused(triton, model, good, "404", model_version="4711")
    is_refused(triton, model, tensor(model, rows, name="wines"), "400", "features", "wines")
    is_refused(triton, model, tensor(model, rows[:, :10]), "400", "features", "[rows, 11]", "[2, 10]")
    is_refused(triton, model, integers, "400", "features", "FP32", "FP64", "INT32")
    is_refused(triton, model, tensor(model, strange), "400", 1, "chlorides", "finite")
    is_refused(triton, model, tensor(model, strange, binary=False), "400")
    is_refused(triton, model, tensor(model, -rows), "400", 0, "fixed_acidity", 100)
    is_refused(triton, "stock_forecast", zeros, "400", 0, "close_60_days_ago")
    taste = [InferRequestedOutput("taste")]
    is_refused(triton, model, good, "400", "outputs", "quality, low, high", outputs=taste)
    classes = [InferRequestedOutput("quality", class_count=1)]
    is_refused(triton, model, good, "400", "classification", outputs=classes)
    assert triton.infer(model, [good]).as_numpy("quality").shape == (2, 1)


def test_a_refusal_has_the_protocol_s_shape_whoever_refuses(server: Server) -> None:
    infer = f"{server.url}{INFER}"
    wrong = [
        (httpx.post(infer, content=b"{", headers={"content-type": "application/json"}), 400),
        (httpx.post(infer, content=b"{}", headers={"inference-header-content-length": "3"}), 400),
        (httpx.post(infer, content=b"{}", headers={"inference-header-content-length": "9" * 5000}), 400),
        (httpx.post(infer, content=b"{}", headers={"inference-header-content-length": "-1"}), 400),
        (httpx.post(infer, content=b"{}", headers={"content-type": "text/plain"}), 415),
        (httpx.post(infer, content=b"{}", headers={"content-encoding": "gzip"}), 415),
        (httpx.get(infer), 405),
        (httpx.post(f"{server.url}/v2/models/wine_quality", json={}), 405),
        (httpx.get(f"{server.url}/v2/models"), 404),
        (httpx.get(f"{server.url}/v2/models/wine-quality"), 404),
        (httpx.get(f"{server.url}/v2/"), 404),
    ]

    for answer, status in wrong:
        assert answer.status_code == status, answer.text
        assert list(answer.json()) == ["error"]
        assert answer.headers["content-type"] == "application/json"
    assert httpx.get(infer).headers["allow"] == "POST"


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


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_bodies_are_bounded_in_size_and_time(own_home: Path, topology: str) -> None:
    with serve(
        own_home, MARMITA_BODY_TIMEOUT="1s", MARMITA_MAX_BODY_BYTES="20000", MARMITA_TOPOLOGY=topology
    ) as server:
        place = urlsplit(server.url)
        with socket.create_connection((place.hostname, place.port), timeout=10) as slow:
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 99"
            slow.sendall(head.encode() + b"\r\n\r\n{")
            start = time.monotonic()
            said = slow.makefile("rb").read()
            waited = time.monotonic() - start
        too_large = httpx.post(f"{server.url}{INFER}", json=body(np.tile(rows_of("wine_quality", 1), (1000, 1))))
        fits = httpx.post(f"{server.url}{INFER}", json=body(rows_of("wine_quality", 10)))

    assert b" 408 " in said.splitlines()[0]
    late = json.loads(said.partition(b"\r\n\r\n")[2])
    assert list(late) == ["error"]
    assert mentions(late["error"], "1 s")
    assert 0.5 < waited < 5
    assert too_large.status_code == 413
    assert list(too_large.json()) == ["error"]
    assert mentions(too_large.json()["error"], 20_000)
    assert fits.status_code == 200


@contextmanager
def stopped(server: Server, service: str) -> Iterator[psutil.Process]:
    """A runner in a process of its own, which does not answer until the block ends."""
    (runner,) = server.workers(service)
    runner.suspend()
    try:
        yield runner
    finally:
        with suppress(psutil.NoSuchProcess):
            runner.resume()


def test_a_full_service_turns_away_whoever_comes_by_whatever_route(own_home: Path) -> None:
    configuration = overrides(workers=1, traffic={"max_concurrency": 2, "timeout": 25})
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=configuration, MARMITA_TOPOLOGY="split") as server:

        def ask(route: str, request: dict[str, Any]) -> httpx.Response:
            return httpx.post(f"{server.url}{route}", json=request, timeout=30)

        with stopped(server, "StockForecast") as runner, ThreadPoolExecutor(2) as pool:
            values = {"name": "closes", "shape": [1, 60], "datatype": "FP32", "data": series(1)["series"][0]["closes"]}
            ours = pool.submit(ask, "/v2/models/stock_forecast/infer", {"inputs": [values]})
            theirs = pool.submit(ask, FORECAST, series(1))
            while metric(server, "bentoml_service_request_in_progress", runner_name="Marmita") < 2:
                time.sleep(0.05)
            away = ask(INFER, body(rows_of("wine_quality", 1)))
            away_too = ask(SCORE, wines(1))
            runner.resume()
        after = ask(INFER, body(rows_of("wine_quality", 1)))
        refused = metric(server, "marmita_rejected_requests_total", status="429")

    assert [away.status_code, away_too.status_code] == [429, 429]
    assert away_too.json()["code"] == "overloaded"
    assert away.json() == {"error": away_too.json()["error"]}
    assert away.headers["retry-after"] == "1"
    assert [ours.result().status_code, theirs.result().status_code, after.status_code] == [200, 200, 200]
    assert refused == 2


def test_an_answer_that_takes_too_long_is_a_504(own_home: Path) -> None:
    closes = np.tile(rows_of("stock_forecast", 1000), (10, 1))
    configuration = overrides(workers=1, traffic={"timeout": 0.05})
    with (
        serve(own_home, BENTOML_CONFIG_OVERRIDES=configuration) as server,
        InferenceServerClient(address(server)) as triton,
    ):
        is_refused(triton, "stock_forecast", tensor("stock_forecast", closes, binary=False), "504", "0.05 s")
        deadline = time.monotonic() + 30
        while httpx.post(f"{server.url}{INFER}", json=body(rows_of("wine_quality", 1))).status_code != 200:
            assert time.monotonic() < deadline  # a busy machine may take longer for one wine, too


def test_a_runner_that_does_not_answer_is_a_504(own_home: Path) -> None:
    configuration = overrides(workers=1, traffic={"timeout": 2})
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=configuration, MARMITA_TOPOLOGY="split") as server:
        request = body(rows_of("wine_quality", 1))
        with stopped(server, "WineQuality"):
            start = time.monotonic()
            late = httpx.post(f"{server.url}{INFER}", json=request, timeout=30)
            waited = time.monotonic() - start
        after = httpx.post(f"{server.url}{INFER}", json=request, timeout=30)

    assert late.status_code == 504
    assert list(late.json()) == ["error"]
    assert mentions(late.json()["error"], "2 s")
    assert 1 < waited < 5
    assert after.status_code == 200


def test_a_runner_that_dies_is_a_503_and_is_replaced(split: Server) -> None:
    request = body(rows_of("wine_quality", 1))

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{split.url}{INFER}", json=request, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(ask, range(50))} == {200}
        with stopped(split, "WineQuality") as runner:
            asked = [pool.submit(ask, number) for number in range(8)]
            time.sleep(1)
            start = time.monotonic()
            runner.kill()
        answers = [one.result() for one in asked]
        waited = time.monotonic() - start

    # Who was connected hears of it. Who was still waiting for a connection gets it from the next runner.
    died = [answer for answer in answers if answer.status_code != 200]
    assert died
    for answer in died:
        assert answer.status_code == 503
        assert list(answer.json()) == ["error"]
        assert answer.headers["retry-after"] == "1"
    assert waited < 20
    wait_until_ready(split)
    assert [ask(number).status_code for number in range(5)] == [200] * 5


def test_a_runner_that_hangs_is_not_ready_and_not_waited_for(split: Server) -> None:
    with stopped(split, "StockForecast"):
        for path in ("/v2/health/ready", "/v2/models/stock_forecast/ready"):
            start = time.monotonic()
            answer = httpx.get(f"{split.url}{path}", timeout=20)
            assert answer.status_code == 503
            assert list(answer.json()) == ["error"]
            assert answer.headers["retry-after"] == "1"
            assert time.monotonic() - start < 10
        assert httpx.get(f"{split.url}/v2/health/live").status_code == 200
        assert httpx.get(f"{split.url}/v2/models/wine_quality/ready").status_code == 200
    wait_until_ready(split)
    assert httpx.get(f"{split.url}/v2/health/ready").status_code == 200
