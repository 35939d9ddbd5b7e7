"""A real `bentoml serve` with a home of its own."""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from marmita.telemetry.metrics import DELAY_S

ROOT = Path(__file__).resolve().parents[2]
BENTOML = str(Path(sys.executable).with_name("bentoml"))
STARTUP_S = 90.0


def home(folder: Path) -> Path:
    """A BentoML home with the run's models. BentoML keeps metrics in the home: two servers must not share one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(Path(os.environ["BENTOML_HOME"]) / "models")
    return folder


def free_port() -> int:
    """A port for a server that is still to start. It is none of those that the system gives to clients meanwhile, or
    that another worker of this run may choose: whoever waits for its own server must not find that one.
    """
    chance = random.SystemRandom()  # training sets the other one's seed, in all runs alike
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 15_000 + worker % 5 * 3_000
    while True:
        port = chance.randrange(first, first + 3_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a server's process sees: nothing of this run but its home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROMETHEUS_", "MARMITA_"))}
    return kept | {"BENTOML_HOME": str(home), **more}


@dataclass
class Server:
    """A server that is ready, and its processes."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def processes(self) -> list[psutil.Process]:
        """The server's own process and all that it has started and that is not about to go."""
        parent = psutil.Process(self.process.pid)
        found = [parent, *parent.children(recursive=True)]
        return [process for process in found if _command(process)]

    def workers(self, service: str) -> list[psutil.Process]:
        """The workers of one service."""
        return [
            process
            for process in self.processes()
            if "_bentoml_impl.worker.service" in (command := _command(process))
            and command[command.index("--service-name") + 1] == service
        ]

    def memory(self) -> int:
        """Resident bytes of all processes."""
        return sum(process.memory_info().rss for process in self.processes())


def _command(process: psutil.Process) -> list[str]:
    """What a process was started with: nothing, if it has gone or is a zombie."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


@contextmanager
def serve(
    home: Path, target: str = ".", cwd: Path = ROOT, bentoml: str = BENTOML, wait: bool = True, **variables: str
) -> Iterator[Server]:
    """Run `bentoml serve` until the block ends."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = home / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [bentoml, "serve", target, "--host", "127.0.0.1", "--port", str(port)],
            cwd=cwd,
            env=environment(home, **variables),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    server = Server(url, process, log)
    try:
        if wait:
            wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def wait_until_ready(server: Server, within_s: float = STARTUP_S) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"the server ended with {server.process.returncode}:\n{server.log.read_text()}")
        if readiness(server) == 200:
            return
        time.sleep(0.05)
    raise AssertionError(f"not ready within {within_s} s:\n{server.log.read_text()}")


def readiness(server: Server) -> int | None:
    """The status of `/readyz`, or None when nobody answers."""
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code
    except httpx.TransportError:
        return None


async def until(true: Callable[[], bool], within_s: float = 60) -> None:
    """Wait for something, and let whoever asks meanwhile go on."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  what it waits for knows no events
            await asyncio.sleep(0.02)


def metric_samples(server: Server, beginning: str) -> dict[str, float]:
    """The metrics' samples whose lines begin so, by what follows in them."""
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    found = [line.removeprefix(beginning).rpartition(" ") for line in lines if line.startswith(beginning)]
    return {labels: float(value) for labels, _, value in found}


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels, once all workers have written them: it changes no more."""
    before, now = -1.0, _sum(server, name, **labels)
    while now != before:
        time.sleep(5 * DELAY_S)
        before, now = now, _sum(server, name, **labels)
    return now


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


def overrides(**service: object) -> str:
    """BentoML's own variable for changing the configuration of one run."""
    return json.dumps({"services": {"Marmita": service}})


def log_lines(server: Server) -> list[dict[str, Any]]:
    """What the workers have logged up to now. The last line may still be half written."""
    lines = server.log.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _sum(server: Server, name: str, **labels: str) -> float:
    total = 0.0
    for line in httpx.get(f"{server.url}/metrics").text.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            parent = psutil.Process(process.pid)
            for one in [parent, *parent.children(recursive=True)]:  # workers are in no group with their parent
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
