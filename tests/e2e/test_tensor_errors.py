"""Wrong, large, slow and late requests of the Open Inference Protocol, to real servers."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from tests.e2e.server import Server, metric, overrides, serve, stopped
from tests.e2e.tensors import address, body, is_refused, rows_of, tensor
from tests.messages import mentions
from tests.samples import FORECAST, INFER, SCORE, series, wines


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
