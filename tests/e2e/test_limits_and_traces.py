"""What `configuration.yaml` and the settings turn on: limits, deadlines, traces."""

import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.server import BENTOML, ROOT, environment, overrides, readiness, serve
from tests.e2e.volley import volley
from tests.messages import mentions
from tests.samples import INFER, REQUESTS, SCORE, wine_tensors, wines


async def test_a_full_service_answers_429_at_once(own_home: Path) -> None:
    configuration = overrides(workers=1, traffic={"max_concurrency": 2, "timeout": 30})
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=configuration) as server:
        answers = await volley(server.url, SCORE, [wines(400)] * 40)
        after = httpx.post(f"{server.url}{SCORE}", json=wines(1))

    statuses = Counter(status for status, _ in answers)
    assert set(statuses) == {200, 429}
    assert all(set(body) == {"error", "code", "detail"} for status, body in answers if status == 429)
    assert after.status_code == 200


def test_an_answer_that_takes_too_long_is_a_504(own_home: Path) -> None:
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=overrides(workers=1, traffic={"timeout": 0.002})) as server:
        for _ in range(10):  # on a busy machine an answer may be ready before its delay is noticed: then it is given
            late = httpx.post(f"{server.url}{SCORE}", json={"wines": wines(1)["wines"] * 10_000}, timeout=30)
            if late.status_code != 200:
                break
        deadline = time.monotonic() + 30
        while httpx.post(f"{server.url}{SCORE}", json=wines(1)).status_code != 200:
            assert time.monotonic() < deadline  # a busy machine may take longer for one wine, too

    assert late.status_code == 504
    assert set(late.json()) == {"error", "code", "detail"}


def test_settings_in_a_file_count_for_all_processes(own_home: Path, tmp_path: Path) -> None:
    """The workers of a Bento start in another folder than the one with the `.env` in it."""
    subprocess.run([BENTOML, "build"], cwd=ROOT, env=environment(own_home), capture_output=True, check=True)
    (tmp_path / ".env").write_text("MARMITA_MAX_BODY_BYTES=2000\nMARMITA_TOPOLOGY=split\nMARMITA_RECORD_DAYS=7\n")

    with serve(own_home, "marmita:latest", cwd=tmp_path) as server:
        assert httpx.post(f"{server.url}{SCORE}", json=wines(100)).status_code == 413
        assert len(server.workers("WineQuality")) == 1
        warnings = [line for line in server.log.read_text().splitlines() if "MARMITA_RECORD_DAYS" in line]
        assert len(warnings) == 1, "the process that starts the others warns, and it alone"
        assert mentions(warnings[0], "MARMITA_RECORD_RETENTION")


def test_a_body_that_never_ends_gets_a_408(own_home: Path) -> None:
    with serve(own_home, MARMITA_BODY_TIMEOUT="1s", MARMITA_MAX_BODY_BYTES="2000") as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
            head = f"POST {SCORE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
            slow.sendall(head.encode() + b"{")
            start = time.monotonic()
            answer = slow.recv(10_000)

        assert b" 408 " in answer.splitlines()[0]
        assert 0.5 < time.monotonic() - start < 5
        assert httpx.post(f"{server.url}{SCORE}", json=wines(100)).status_code == 413
        assert httpx.post(f"{server.url}{SCORE}", json=wines(1)).status_code == 200


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP collector that keeps the spans that it is sent."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1/traces", spans
        finally:
            listening.shutdown()
            thread.join()


CALLER = bytes.fromhex("b7ad6b7169203331")
TRACED = (("POST", SCORE), ("POST", INFER), ("GET", "/models"))


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_an_endpoint_has_each_request_traced(own_home: Path, topology: str) -> None:
    """Typed, tensors and the API, as parts of their callers' traces. In split, runners' spans are parts of the
    front's."""
    bodies = {SCORE: wines(1), INFER: wine_tensors(1)}
    traces = {route: bytes([number + 1] * 16) for number, (_, route) in enumerate(TRACED)}
    inside = [SCORE, INFER] if topology == "split" else []

    def of(route: str) -> list[Span]:
        return [span for span in spans if span.trace_id == traces[route]]

    with (
        collector() as (endpoint, spans),
        serve(own_home, MARMITA_OTLP_ENDPOINT=endpoint, MARMITA_TOPOLOGY=topology) as server,
    ):
        for method, route in TRACED:
            headers = {"traceparent": f"00-{traces[route].hex()}-{CALLER.hex()}-01"}
            answer = httpx.request(method, f"{server.url}{route}", json=bodies.get(route), headers=headers)
            assert answer.status_code == 200
        deadline = time.monotonic() + 20
        while sum(len(of(route)) for _, route in TRACED) < 3 + len(inside) and time.monotonic() < deadline:
            time.sleep(0.1)

    for method, route in TRACED:
        found = of(route)
        assert [span.name for span in found] == [f"{method} {route}"] * (2 if route in inside else 1)
        (front,) = [span for span in found if span.parent_span_id == CALLER]
        assert [span.parent_span_id for span in found if span is not front] == [front.span_id] * (route in inside)


def test_ready_is_never_said_too_early(own_home: Path) -> None:
    with serve(own_home, wait=False) as server:
        said = []
        deadline = time.monotonic() + 90
        while 200 not in said and time.monotonic() < deadline:
            said.append(readiness(server))
            time.sleep(0.02)
        first = {route: httpx.post(f"{server.url}{route}", json=make(1)) for route, make in REQUESTS.items()}

    assert set(said) <= {None, 503, 200}
    assert said[-1] == 200
    assert {answer.status_code for answer in first.values()} == {200}
