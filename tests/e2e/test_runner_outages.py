"""Runners in processes of their own that hang or die while they are asked."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.e2e.server import Server, overrides, serve, stopped, wait_until_ready
from tests.e2e.tensors import body, rows_of
from tests.messages import mentions
from tests.samples import INFER


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
