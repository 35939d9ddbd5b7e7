"""The load test against the real service, and against stubs that answer as it must not."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.e2e.server import ROOT, Server, free_port
from tests.e2e.users import RIGHT, USERS
from tests.messages import mentions
from tests.samples import CLASSIFY

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}


@contextmanager
def running(*options: str, **more: Any) -> Iterator["subprocess.Popen[str]"]:
    """Locust, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", *options],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """The exit status, and what was said."""
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def headless(host: str, *options: str, users: int = 10, seconds: int = 2) -> tuple[int, str]:
    common = ["--headless", "--only-summary", "--host", host, "--run-time", f"{seconds}s"]
    with running(*common, "--users", str(users), "--spawn-rate", str(users), *options) as process:
        return ended(process)


def counts(prefix: Path, column: str = "Request Count") -> dict[str, int]:
    """Requests by route."""
    with Path(f"{prefix}_stats.csv").open() as file:
        return {row["Name"]: int(row[column]) for row in csv.DictReader(file) if row["Name"] != "Aggregated"}


@contextmanager
def stub(status: int, body: Any, ready: int = 200) -> Iterator[str]:
    """Answers everything with the same."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(ready, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(status, body)

        def _answer(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Quick(ThreadingHTTPServer):
        daemon_threads = True

    server = Quick(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_all_users_are_served_without_a_failure(colocated: Server, tmp_path: Path) -> None:
    status, said = headless(colocated.url + "/", "--csv", str(tmp_path / "load"))

    assert status == 0, said
    assert all(counts(tmp_path / "load")[route] > 0 for route in USERS)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_a_missed_objective_fails_and_is_told(colocated: Server) -> None:
    make = ["make", "--assume-old=.venv/dev", "load", f"URL={colocated.url}", "USERS=10", "SECONDS=2", "P95=0.001"]
    done = subprocess.run(
        make, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )

    assert done.returncode != 0
    missed = re.findall(r"(\S+) missed .*?\bp95\b.*?\b0\.001 ms", done.stdout + done.stderr)
    assert sorted(missed) == sorted(USERS)


def test_wrong_answers_are_failures(tmp_path: Path) -> None:
    with stub(200, [RIGHT[CLASSIFY] | {"status": "normal"}]) as url:
        status, said = headless(url, "--csv", str(tmp_path / "load"), seconds=5)

    assert status == 1
    assert mentions(said, "the status", "quality: Field required")
    assert counts(tmp_path / "load").keys() == USERS.keys()
    assert counts(tmp_path / "load") == counts(tmp_path / "load", "Failure Count")


def test_a_service_that_is_full_fails_unless_that_is_meant(tmp_path: Path) -> None:
    """Where it refuses everything, a run is worth nothing even then."""
    common = ["--headless", "--only-summary", "--run-time", "1s", USERS[CLASSIFY], "--csv"]
    with (
        stub(429, {"error": "the service is full", "code": "overloaded", "detail": []}) as url,
        running("--host", url, *common, str(tmp_path / "meant"), "--accept-full") as meant,
        running("--host", url, *common, str(tmp_path / "not-meant")) as not_meant,
    ):
        (meant_status, meant_said), (status, said) = ended(meant), ended(not_meant)

    assert counts(tmp_path / "not-meant", "Failure Count").keys() == {CLASSIFY}
    assert counts(tmp_path / "not-meant", "Failure Count")[CLASSIFY] > 0
    assert counts(tmp_path / "meant", "Failure Count") == {f"{CLASSIFY} (full)": 0}
    assert f"No request to {CLASSIFY}" in meant_said
    assert "No request" not in said
    assert (status, meant_status) == (1, 1)


def test_where_nobody_answers_it_says_so_and_ends() -> None:
    host = f"http://127.0.0.1:{free_port()}"

    status, said = headless(host)

    assert status == 1
    assert mentions(said, host)
    assert "Traceback" not in said


def test_a_service_that_is_not_ready_is_not_asked() -> None:
    with stub(200, [], ready=503) as url:
        status, said = headless(url)

    assert status == 1
    assert mentions(said, url, "/readyz", 503)


def test_each_shape_runs(colocated: Server) -> None:
    common = ["--headless", "--only-summary", "--host", colocated.url, "--users", "10", "--run-time", "6s"]
    with (
        running(*common, "--shape", "steady") as steady,
        running(*common, "--shape", "step") as step,
        running(*common, "--shape", "spike") as spike,
    ):
        runs = {"steady": ended(steady), "step": ended(step), "spike": ended(spike)}

    assert {status for status, _ in runs.values()} == {0}, runs
    users = {
        name: [int(n) for n in re.findall(r"Shape test updating to (\d+)", said)] for name, (_, said) in runs.items()
    }
    assert users == {"steady": [10], "step": [2, 4, 6, 8, 10], "spike": [1, 10, 1]}


def test_workers_ask_and_their_master_counts(colocated: Server, tmp_path: Path) -> None:
    port = str(free_port())
    options = [
        "--headless",
        "--host",
        colocated.url,
        "--users",
        "10",
        "--run-time",
        "3s",
        "--csv",
        str(tmp_path / "load"),
    ]
    distributed = ["--expect-workers", "1", "--expect-workers-max-wait", "30", "--master-bind-port", port]
    objective = ["--shape", "steady", "--objective-p95-ms", "0.001"]
    with (
        running("--worker", "--master-host", "127.0.0.1", "--master-port", port) as worker,
        running("--master", "--master-bind-host", "127.0.0.1", *distributed, *options, *objective) as master,
    ):
        status, said = ended(master)
        worker_status, worker_said = ended(worker)

    assert all(counts(tmp_path / "load")[route] > 0 for route in USERS)
    assert not any(counts(tmp_path / "load", "Failure Count").values()), said
    assert status == 1
    assert f"{CLASSIFY} missed " in said
    assert worker_status == 0, worker_said


def test_the_page_starts_and_stops_a_run(colocated: Server) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    with running("--web-host", "127.0.0.1", "--web-port", str(port)) as process:
        until(lambda: httpx.get(page).status_code == 200)

        asked = httpx.post(f"{page}/swarm", data={"user_count": "8", "spawn_rate": "8", "host": colocated.url})
        assert asked.json()["success"], asked.text
        until(lambda: counted(page).keys() >= USERS.keys())
        assert httpx.get(f"{page}/stats/requests").json()["user_count"] == 8
        httpx.post(f"{page}/stop")
        until(lambda: httpx.get(f"{page}/stats/requests").json()["state"] == "stopped")

        process.terminate()
        status, said = ended(process)
    assert status == 0, said


def counted(page: str) -> dict[str, int]:
    stats = httpx.get(f"{page}/stats/requests").json()["stats"]
    return {route["name"]: route["num_requests"] for route in stats}


def until(done: Any, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not so within {within_s} s")
