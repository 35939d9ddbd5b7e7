"""Contenders as processes: start, stop, requests, CPU time and memory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic

import psutil

from benchmarks.dialects import Request, Response
from benchmarks.lineup import Contender
from benchmarks.places import CONTENDERS, ROOT
from benchmarks.results import ContenderError

STARTUP_S = 90.0
STOP_S = 8.0
ANSWER_S = 60.0
MARK = "BENCH_RUN"
"""An environment variable that identifies all processes of a contender, including those outside its process tree."""


@dataclass(frozen=True)
class Models:
    """The champions, with the BentoML home of their store."""

    home: Path
    folders: Mapping[str, Path]

    @property
    def tags(self) -> dict[str, str]:
        return {name: f"{name}:{folder.name}" for name, folder in self.folders.items()}


@dataclass(frozen=True)
class Site:
    """The paths and ports of a running contender."""

    bin: Path
    folder: Path
    wine: Path
    contenders: Path
    port: int
    second_port: int
    third_port: int

    def fill(self, text: str) -> str:
        for name, value in asdict(self).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


@dataclass
class RunningContender:
    """A contender that has been started."""

    port: int
    process: "subprocess.Popen[bytes]"
    mark: str
    log: Path
    started_at: float

    def processes(self) -> list[psutil.Process]:
        """Return all of the contender's processes."""
        found = {process.pid: process for process in _marked(self.mark)}
        with suppress(psutil.NoSuchProcess):
            found |= {process.pid: process for process in psutil.Process(self.process.pid).children(recursive=True)}
        return list(found.values())

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes so far, including ended child processes that were waited for."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory_mb(self) -> float:
        """Return the sum of all processes' resident memory, which counts shared memory several times."""
        return sum(map(resident_mb, self.processes()))

    def ask(self, path: str, asked: Request | None = None) -> Response:
        """Send one request on a new connection."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            if asked is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, asked.body, dict(asked.headers))
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException) as error:
            raise ContenderError(f"{path}: {type(error).__name__}: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            said = body[:200].decode("utf-8", "replace")
            raise ContenderError(f"{'POST' if asked else 'GET'} {path} was answered with {response.status}: {said}")
        return Response({name.lower(): value for name, value in response.getheaders()}, body)

    def wait(self, ready: Callable[["RunningContender"], object], every_s: float = 0.05) -> None:
        """Wait until a readiness check raises no ContenderError."""
        deadline = monotonic() + STARTUP_S
        last: Exception | None = None
        while monotonic() < deadline:
            if self.process.poll() is not None:
                raise ContenderError(f"it ended with {self.process.returncode}: {self.last_line()}")
            try:
                ready(self)
                return
            except ContenderError as error:
                last = error
                time.sleep(every_s)
        raise ContenderError(f"not ready within {STARTUP_S:.0f} s: {last or self.last_line()}")

    def age(self) -> float:
        """Return the seconds since the start."""
        return monotonic() - self.started_at

    def last_line(self) -> str:
        return last_line(self.log.read_text(errors="replace"))


def resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def last_line(text: str) -> str:
    """Return the last line of a log that is not blank."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"


@contextmanager
def started(contender: Contender, executables: Path, models: Models) -> Iterator[RunningContender]:
    """Run a contender in a new folder until the block ends."""
    # Ray creates Unix sockets in this folder, and their paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    mark = uuid.uuid4().hex
    try:
        (folder / "models").symlink_to(models.home / "models")
        ports = free_ports(3)
        site = Site(executables, folder, models.folders["wine_quality"], CONTENDERS, *ports)
        environment = _environment(contender, site, models, mark)
        log = folder / "log"
        if contender.prepare:
            _prepare(contender, site, environment)
        started_at = monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [site.fill(part) for part in contender.command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE if contender.is_loop else subprocess.DEVNULL,
                stdout=subprocess.PIPE if contender.is_loop else output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield RunningContender(site.port, process, mark, log, started_at)
        finally:
            _stop(process, mark)
    except OSError as error:
        raise ContenderError(f"{type(error).__name__}: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Return different unused ports."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _environment(contender: Contender, site: Site, models: Models, mark: str) -> dict[str, str]:
    """Return a contender's environment, without variables of this run that could change its behaviour."""
    strange = ("BENCH_", "BENTOML_", "MARMITA_", "MLSERVER_", "MLFLOW_", "PROMETHEUS_", "PYTHON", "RAY_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return kept | {
        MARK: mark,
        "PATH": f"{site.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
        "BENTOML_HOME": str(site.folder),
        "BENTOML_DO_NOT_TRACK": "True",
        "KERAS_HOME": str(site.folder / "keras"),
        "BENCH_PORT": str(site.port),
        "BENCH_FOLDER": str(site.folder),
        "BENCH_WINE": str(models.folders["wine_quality"]),
        "BENCH_FORECASTER": str(models.folders["stock_forecast"]),
        "BENCH_WINE_TAG": models.tags["wine_quality"],
        "BENCH_FORECASTER_TAG": models.tags["stock_forecast"],
        **{name: site.fill(value) for name, value in contender.variables.items()},
    }


def _prepare(contender: Contender, site: Site, environment: Mapping[str, str]) -> None:
    command = [site.fill(part) for part in contender.prepare]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ContenderError(f"its preparation ended with {done.returncode}: {last_line(done.stderr)}")


def _stop(process: "subprocess.Popen[bytes]", mark: str) -> None:
    """Send SIGTERM and wait. Then kill all remaining processes of the contender."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_S)
    left = _marked(mark)
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(left, timeout=STOP_S)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found
