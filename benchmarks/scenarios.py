"""Scenarios of this service alone: overload and footprint."""

from pathlib import Path
from time import monotonic
from typing import Any

import psutil

from benchmarks.generator import Generator
from benchmarks.lineup import COLOCATED, Route
from benchmarks.measure import prepared
from benchmarks.results import ContenderError, Flood, Footprint, Spread, significant
from benchmarks.servers import Models, RunningContender, resident_mb, started
from benchmarks.workloads import ONE_FORECAST, ONE_WINE, WINES_TOGETHER, batches

OVERLOAD_FACTOR = 4
"""The request rate of the overload, as a multiple of the service's capacity."""
CONNECTIONS = 1024
"""Twice the service's concurrency limit, so that connections do not limit the request rate."""
PROBE_S = 5.0
EARLY_SHARE = 1 / 6
"""The share of the overload after which memory must not grow."""
NORMAL_FACTOR = 2.0
"""The largest latency of a normal answer, as a multiple of the usual latency."""


def flood(executables: Path, models: Models, seconds: float, generator: Generator) -> Flood:
    """Overload the service, and measure how soon it recovers."""
    (route, *_) = COLOCATED.routes
    with started(COLOCATED, executables, models) as running:
        _until_ready(running)
        requests = prepared(running, route, batches(WINES_TOGETHER, models.folders), to_check=1)
        short = min(seconds / 4, 4.0)
        generator.closed(running.port, requests, WINES_TOGETHER.clients, short / 2)
        usual = generator.closed(running.port, requests, 1, short)["answers"]["200"]["p50"]
        at_capacity = generator.closed(running.port, requests, WINES_TOGETHER.clients, short)
        capacity = at_capacity["answers"]["200"]["count"] / at_capacity["seconds"]
        memory_before = running.memory_mb()
        start = monotonic()
        memory: list[tuple[float, float]] = []
        came = generator.flood(
            running.port,
            requests,
            rate=OVERLOAD_FACTOR * capacity,
            connections=CONNECTIONS,
            seconds=seconds,
            probe_seconds=PROBE_S,
            meanwhile=lambda: memory.append((monotonic() - start, running.memory_mb())),
        )
        accepted, refused = came["answers"].get("200"), came["answers"].get("429")
        if accepted is None:
            raise ContenderError(f"nothing was accepted: {came['answers']}")
        early = [mb for at, mb in memory if at <= seconds * EARLY_SHARE]
        during = [mb for at, mb in memory if at <= seconds]
        return Flood(
            workload=WINES_TOGETHER.name,
            capacity_per_second=significant(capacity),
            offered_per_second=significant(OVERLOAD_FACTOR * capacity),
            seconds=seconds,
            answers={int(status): one["count"] for status, one in came["answers"].items()},
            unanswered=came["unanswered"],
            accepted_p50_ms=_ms(accepted["p50"]),
            accepted_p99_ms=_ms(accepted["p99"]),
            refused_p50_ms=_ms(refused["p50"]) if refused else None,
            refused_p99_ms=_ms(refused["p99"]) if refused else None,
            memory_before_mb=significant(memory_before),
            memory_early_mb=significant(max(early)),
            memory_most_mb=significant(max(during)),
            memory_after_mb=significant(running.memory_mb()),
            usual_p50_ms=_ms(usual),
            normal_after_seconds=normal_after(came["after"], usual),
            generator_busy=significant(came["busy"], 2),
        )


def normal_after(windows: list[dict[str, Any]], usual: float) -> float | None:
    """Return the seconds until all following windows are normal, or None if the last window is not."""
    wrong = [
        window["from"] for window in windows if window["p50"] > NORMAL_FACTOR * usual or window["worst_status"] != 200
    ]
    if not windows or (wrong and wrong[-1] == windows[-1]["from"]):
        return None
    # A window without answers is missing here, so take the first good window, not the end of the last bad one.
    first_good: float = min(window["from"] for window in windows if not wrong or window["from"] > wrong[-1])
    return round(first_good, 1)


def footprint(executables: Path, models: Models, starts: int, seconds: float, generator: Generator) -> Footprint:
    """Measure the startup time, and the memory of one worker with three models before and after load."""
    ready, fresh, worked, everything = [], [], [], []
    for _ in range(starts):
        with started(COLOCATED, executables, models) as running:
            _until_ready(running)
            ready.append(running.age())
            fresh.append(resident_mb(worker(running)))
            (route, *_) = COLOCATED.routes
            _work(running, route, models, seconds, generator)
            worked.append(resident_mb(worker(running)))
            everything.append(running.memory_mb())
    return Footprint(
        ready_seconds=Spread.of(ready),
        worker_mb=Spread.of(fresh),
        worker_after_load_mb=Spread.of(worked),
        all_processes_mb=Spread.of(everything),
    )


def _work(running: RunningContender, route: Route, models: Models, seconds: float, generator: Generator) -> None:
    for workload in (ONE_WINE, ONE_FORECAST):
        requests = prepared(running, route, batches(workload, models.folders), to_check=1)
        generator.closed(running.port, requests, WINES_TOGETHER.clients, seconds)


def worker(running: RunningContender) -> psutil.Process:
    """Return the worker process, which has the models."""
    for process in running.processes():
        command = _command(process)
        if "--service-name" in command and command[command.index("--service-name") + 1] == "Marmita":
            return process
    raise ContenderError("no worker can be found among its processes")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _until_ready(running: RunningContender) -> None:
    running.wait(lambda one: one.ask("/readyz"), every_s=0.01)


def _ms(seconds: float) -> float:
    return significant(seconds * 1000)
