"""The real server in both topologies: answers, errors, limits, metrics, and what its processes hold."""

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import bentoml
import httpx
import psutil
import pytest
from bentoml.exceptions import InvalidArgument

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, log_lines, metric, readiness, wait_until_ready
from tests.e2e.volley import volley
from tests.samples import CLASSIFY, FORECAST, REQUESTS, SCORE, exams, series, wines

MIB = 1024 * 1024


def workers_that_answered(server: Server) -> set[int]:
    """The processes that have written to the access log."""
    return {line["pid"] for line in log_lines(server) if line["logger"] == "marmita.web.access_log"}


@pytest.mark.parametrize("route", REQUESTS)
def test_both_topologies_give_the_same_answers(colocated: Server, split: Server, route: str) -> None:
    for count in (1, 7, 300):
        request = REQUESTS[route](count, start=count)
        one, other = (httpx.post(f"{server.url}{route}", json=request, timeout=30) for server in (colocated, split))

        assert one.status_code == 200, one.text
        assert one.json() == other.json()


def test_runners_live_where_the_topology_says(colocated: Server, split: Server) -> None:
    services = ["Marmita", "FetalHealth", "WineQuality", "StockForecast"]

    assert [len(colocated.workers(name)) for name in services] == [2, 0, 0, 0]
    assert [len(split.workers(name)) for name in services] == [2, 1, 1, 1]


async def test_concurrent_requests_share_batches_and_get_their_own_answers(server: Server) -> None:
    requests = [series(1, start=number) for number in range(200)]
    alone = [httpx.post(f"{server.url}{FORECAST}", json=request).json() for request in requests]
    batches = metric(server, "marmita_batch_rows_count", model="stock_forecast")
    rows = metric(server, "marmita_batch_rows_sum", model="stock_forecast")

    together = await volley(server.url, FORECAST, requests)

    assert [status for status, _ in together] == [200] * 200
    for (expected,), (_, (answer,)) in zip(alone, together, strict=True):
        close = [step["close"] for step in answer["path"]]
        assert close == pytest.approx([step["close"] for step in expected["path"]], rel=1e-5)
    assert metric(server, "marmita_batch_rows_sum", model="stock_forecast") - rows == 200
    assert metric(server, "marmita_batch_rows_count", model="stock_forecast") - batches < 150


async def test_a_bad_row_costs_no_one_else(server: Server) -> None:
    good, bad = wines(1), wines(1)
    bad["wines"][0]["alcohol"] = "strong"

    answers = await volley(server.url, SCORE, [bad if number % 10 == 0 else good for number in range(100)])

    assert [status for status, _ in answers] == [400 if number % 10 == 0 else 200 for number in range(100)]
    assert len({json.dumps(answer) for status, answer in answers if status == 200}) == 1


def test_a_renamed_metric_is_exported_under_its_deprecated_name_too(server: Server) -> None:
    assert httpx.get(f"{server.url}/nothing").status_code == 404

    now = metric(server, "marmita_rejected_requests_total", status="404")
    assert metric(server, "marmita_refused_total", status="404") == now > 0
    assert metric(server, "marmita_model_refused") == metric(server, "marmita_champion_rejected") == 0


def test_bad_requests_are_answered_in_the_one_shape(server: Server) -> None:
    short = series(1)
    short["series"][0]["closes"] = [20.0] * 59
    bodies: list[tuple[str, bytes, str, int, list[Any] | None]] = [
        (SCORE, b"{", "application/json", 400, []),
        (SCORE, json.dumps({"wines": []}).encode(), "application/json", 400, ["wines"]),
        (SCORE, json.dumps({"wines": wines(1)["wines"] * 10_001}).encode(), "application/json", 413, ["wines"]),
        (CLASSIFY, json.dumps({"exams": [{}]}).encode(), "application/json", 400, ["exams", 0, "baseline_value"]),
        (FORECAST, json.dumps(short).encode(), "application/json", 400, ["series", 0, "closes"]),
        (FORECAST, b"x", "application/vnd.bentoml+pickle", 415, None),
    ]
    for route, body, media_type, status, loc in bodies:
        answer = httpx.post(f"{server.url}{route}", content=body, headers={"content-type": media_type}, timeout=30)

        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error", "code", "detail"}
        if loc is not None:
            assert answer.json()["detail"][0]["loc"] == loc
        assert httpx.post(f"{server.url}{route}", json=REQUESTS[route](1)).status_code == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_huge_body_is_refused_and_takes_no_memory(colocated: Server, declared: bool) -> None:
    def body() -> Any:
        for _ in range(50):
            yield b"1" * MIB

    httpx.post(f"{colocated.url}{SCORE}", json=wines(1))
    before = colocated.memory()
    for _ in range(4):
        content = b"1" * (50 * MIB) if declared else body()
        answer = httpx.post(
            f"{colocated.url}{SCORE}", content=content, headers={"content-type": "application/json"}, timeout=60
        )
        assert answer.status_code == 413
        assert httpx.post(f"{colocated.url}{SCORE}", json=wines(1)).status_code == 200

    assert colocated.memory() - before < 60 * MIB


def test_bad_requests_leave_no_memory_behind(colocated: Server) -> None:
    wrong = json.dumps({"exams": [dict.fromkeys(exams(1)["exams"][0], "x")] * 2000}).encode()

    def send() -> None:
        for _ in range(40):
            answer = httpx.post(
                f"{colocated.url}{CLASSIFY}", content=wrong, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 400

    send()
    before = colocated.memory()
    send()
    assert colocated.memory() - before < 20 * MIB


def test_a_client_that_sends_half_a_body_and_waits_holds_up_no_one(colocated: Server) -> None:
    address = urlsplit(colocated.url)
    slow = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]
    try:
        for connection in slow:
            head = f"POST {SCORE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999"
            connection.sendall(head.encode() + b"\r\n\r\n{")
        start = time.monotonic()
        assert httpx.post(f"{colocated.url}{SCORE}", json=wines(1)).status_code == 200
        assert time.monotonic() - start < 10
    finally:
        for connection in slow:
            connection.close()


def test_a_request_id_goes_back_and_into_the_log(server: Server) -> None:
    answer = httpx.post(f"{server.url}{SCORE}", json=wines(1), headers={"x-request-id": "find-me-4711"})

    assert answer.headers["x-request-id"] == "find-me-4711"
    deadline = time.monotonic() + 10  # the line is written after the answer was sent
    while not (found := [line for line in log_lines(server) if line.get("request_id") == "find-me-4711"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (line,) = found
    assert line["path"] == SCORE
    assert line["status"] == 200
    assert line["ms"] > 0


def test_metrics_add_up_over_all_workers(server: Server, champions: dict[str, PackedModel]) -> None:
    answered = {"endpoint": SCORE, "http_response_code": "200", "runner_name": "Marmita"}
    before = {
        "rows": metric(server, "marmita_rows_total", model="wine_quality"),
        "unusual": metric(server, "marmita_unusual_inputs_total", model="wine_quality", feature="alcohol"),
        "predictions": metric(server, "marmita_predictions_total", model="wine_quality"),
        "seconds": metric(server, "marmita_inference_seconds_count", model="wine_quality"),
        "requests": metric(server, "bentoml_service_request_total", **answered),
    }
    request = wines(3)
    request["wines"][0]["alcohol"] = 90.0

    asked = 0
    while asked < 30 or len(workers_that_answered(server)) < 2:
        asked += 1  # with a connection of its own each time, so that both workers get some
        assert httpx.post(f"{server.url}{SCORE}", json=request).status_code == 200
        assert asked < 1000

    def grown(what: str, name: str, **labels: str) -> float:
        return metric(server, name, **labels) - before[what]

    assert grown("rows", "marmita_rows_total", model="wine_quality") == 3 * asked
    assert grown("unusual", "marmita_unusual_inputs_total", model="wine_quality", feature="alcohol") == asked
    assert grown("predictions", "marmita_predictions_total", model="wine_quality") == 3 * asked
    assert grown("seconds", "marmita_inference_seconds_count", model="wine_quality") == asked
    requests = grown("requests", "bentoml_service_request_total", **answered)
    assert requests == asked
    for name, packed in champions.items():
        assert metric(server, "marmita_model_served", model=name, version=packed.version) == 1


def test_no_process_that_serves_has_loaded_what_only_training_needs(server: Server) -> None:
    for route, request in REQUESTS.items():
        httpx.post(f"{server.url}{route}", json=request(1))
    for process in server.processes():
        loaded = {file.path for file in process.memory_maps()}
        assert any("onnxruntime" in path for path in loaded), process.cmdline()
        assert not [path for path in loaded if "/sklearn/" in path or "/tensorflow/" in path or "/scipy/" in path]


def test_bentoml_own_client_works(server: Server, champions: dict[str, PackedModel]) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        (score,) = client.score(wines=wines(1)["wines"])
        (status,) = client.classify(exams=exams(1)["exams"])
        (forecast,) = client.forecast(series=series(1)["series"])
        with pytest.raises(InvalidArgument, match=r"wines\[0\]\.alcohol"):
            client.score(wines=[wines(1)["wines"][0] | {"alcohol": -1}])

    assert score["model"] == champions["wine_quality"].tag
    assert status["model"] == champions["fetal_health"].tag
    assert len(forecast["path"]) == 5


def test_ready_means_that_all_models_answer(server: Server) -> None:
    assert readiness(server) == 200
    for route, request in REQUESTS.items():
        assert httpx.post(f"{server.url}{route}", json=request(1)).status_code == 200


def test_not_ready_while_a_runner_does_not_answer(split: Server) -> None:
    (runner,) = split.workers("StockForecast")
    runner.suspend()
    try:
        answer = httpx.get(f"{split.url}/readyz", timeout=20)
        assert answer.status_code == 503
        assert set(answer.json()) == {"error", "code", "detail"}
        assert httpx.post(f"{split.url}{SCORE}", json=wines(1)).status_code == 200
    finally:
        runner.resume()
    wait_until_ready(split)


@pytest.mark.parametrize(
    ("server", "service"), [("colocated", "Marmita"), ("split", "WineQuality")], indirect=["server"]
)
def test_a_killed_worker_is_replaced(server: Server, service: str) -> None:
    before = server.workers(service)
    before[0].kill()
    psutil.wait_procs(before[:1], timeout=10)

    deadline = time.monotonic() + 60
    while len(server.workers(service)) < len(before):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    wait_until_ready(server)
    for _ in range(10):
        answer = httpx.post(f"{server.url}{SCORE}", json=wines(1), timeout=60)
        assert answer.status_code == 200
