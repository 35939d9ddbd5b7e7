"""A Prometheus that watches the real service, and what the service is asked meanwhile."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from marmita import discovery
from marmita.runtime.endpoints import endpoints_of
from tests.e2e.server import Server
from tests.samples import CLASSIFY, FORECAST, INFER, REQUESTS, SCORE, exams, wine_tensors, wines

MODEL_OF = {route: name for name in discovery.names() for route in endpoints_of(discovery.runner(name))}
LABELS = "/labels"
TRUTHS: dict[str, Any] = {CLASSIFY: "normal", SCORE: 5, FORECAST: [30.0, 31.0, 30.5]}
"""A label for each row of a route, right or wrong."""


def filled_in(expression: str) -> str:
    """An expression as Grafana would send it."""
    filled = expression.replace("$__rate_interval", "1m").replace("$model", ".+")
    assert "$__" not in filled
    return filled


@dataclass(frozen=True)
class Watching:
    """A Prometheus that scrapes the real service, and its Alertmanager."""

    prometheus: str
    alertmanager: str

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=parameters, timeout=20)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.ask("query", query=filled_in(expression))["result"]
        return result

    def values(self, expression: str, label: str) -> dict[str, float]:
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(expression)}

    def finds_a_number(self, expression: str) -> bool:
        return any(math.isfinite(float(one["value"][1])) for one in self.query(expression))


def send_traffic(server: Server) -> None:
    """Good requests to each route, some in tensors, unusual inputs to the models that look for them, and a mistake."""
    for route, request in REQUESTS.items():
        for count in (1, 5):
            assert httpx.post(f"{server.url}{route}", json=request(count), timeout=30).status_code == 200
    assert httpx.post(f"{server.url}{INFER}", json=wine_tensors(1), timeout=30).status_code == 200
    assert httpx.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 200
    strange_wines, strange_exams = wines(1), exams(1)
    strange_wines["wines"][0]["alcohol"] = 90.0
    strange_exams["exams"][0]["histogram_width"] = 250
    for route, strange in ((SCORE, strange_wines), (CLASSIFY, strange_exams)):
        (answer,) = httpx.post(f"{server.url}{route}", json=strange, timeout=30).json()
        assert answer["unusual"]
    assert httpx.post(f"{server.url}{SCORE}", json={"wines": []}, timeout=30).status_code == 400


def label_predictions(server: Server) -> None:
    """Enough rows for each model that drift is looked for, and a label for each."""
    for route, request in REQUESTS.items():
        answers = httpx.post(f"{server.url}{route}", json=request(80), timeout=30).json()
        labels = {"labels": [{"id": answer["id"], "truth": TRUTHS[route]} for answer in answers]}
        said = httpx.post(f"{server.url}{LABELS}", json=labels, timeout=30)
        assert said.status_code == 200, said.text


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.25)
    return True
