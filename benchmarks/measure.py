"""Measurement of all contenders. In every round, each is started, measured at all of its workloads, and stopped."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.dialects import Dialect, Request, Response
from benchmarks.environments import Environments
from benchmarks.generator import Generator
from benchmarks.lineup import Contender, Route
from benchmarks.load import percentile
from benchmarks.results import (
    FIGURES,
    ContenderError,
    Measurement,
    Round,
    Settings,
    Spread,
    plain,
    significant,
)
from benchmarks.servers import Models, RunningContender, started
from benchmarks.workloads import Batch, Workload, batches
from marmita.contract.rows import Floats

DEFAULT_INPUT = "features"
TOLERANCE = 2e-4
"""The largest relative difference of a prediction from the ONNX model's, for native models and rounded answers."""
Key = tuple[str, str, str]
"""Contender, route and workload."""


@dataclass
class Findings:
    """The results of a run so far."""

    rounds: dict[Key, list[Round]] = field(default_factory=lambda: defaultdict(list))
    broken: dict[Key, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    memory_mb: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ready_seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def of(self, contenders: Sequence[Contender]) -> list[Measurement]:
        """Return all measurements in the order of the contenders."""
        found = []
        for contender in contenders:
            for route, workload in _tasks(contender):
                key = (contender.name, route.name, workload.name)
                rounds = self.rounds.get(key, [])
                error = self.broken.get(key) or self.failed.get(contender.name)
                found.append(
                    Measurement(
                        contender=contender.name,
                        route=route.name,
                        workload=workload.name,
                        rounds=rounds,
                        spread={
                            figure: Spread.of([getattr(one, figure) for one in rounds]) for figure in FIGURES if rounds
                        },
                        error=error,
                    )
                )
        return found


def run(
    contenders: Sequence[Contender],
    environments: Environments,
    models: Models,
    settings: Settings,
    generator: Generator,
) -> Findings:
    """Measure all contenders, round by round. A contender that fails is skipped in the following rounds."""
    measured = Findings()
    for number in range(1, settings.rounds + 1):
        for contender in contenders:
            if contender.name in measured.failed:
                continue
            print(f"round {number} of {settings.rounds}: {contender.name}", flush=True)
            with failing(measured.failed, contender.name):
                executables = environments[contender.environment]
                if contender.is_loop:
                    _loop(contender, executables, models, settings, measured)
                else:
                    _server(contender, executables, models, settings, generator, measured)
    return measured


@contextmanager
def failing(errors: dict[Any, str], key: Any) -> Iterator[None]:
    """Record a ContenderError under this key and continue."""
    try:
        yield
    except ContenderError as error:
        errors[key] = plain(str(error))
        print(f"  {key if isinstance(key, str) else ', '.join(key)}: {errors[key]}", flush=True)


def middle(figures: Sequence[float]) -> float | None:
    return significant(median(figures), 3) if figures else None


def _tasks(contender: Contender) -> Iterator[tuple[Route, Workload]]:
    for route in contender.routes:
        yield from product([route], route.workloads)


def _server(
    contender: Contender,
    executables: Path,
    models: Models,
    settings: Settings,
    generator: Generator,
    measured: Findings,
) -> None:
    with started(contender, executables, models) as running:
        running.wait(first_answer(contender, models))
        measured.ready_seconds[contender.name].append(running.age())
        for route, workload in _tasks(contender):
            key = (contender.name, route.name, workload.name)
            if key in measured.broken:
                continue
            with failing(measured.broken, key):
                asked = batches(workload, models.folders)
                requests = prepared(running, route, asked, to_check=1 if key in measured.rounds else len(asked))
                generator.closed(running.port, requests, workload.clients, settings.warm_up_seconds)
                measured.rounds[key].append(_measure(running, requests, workload, settings.seconds, generator))
        measured.memory_mb[contender.name].append(running.memory_mb())


def first_answer(contender: Contender, models: Models) -> Callable[[RunningContender], object]:
    """Return a readiness check, which passes when the contender answers a prediction request."""
    route, workload = next(_tasks(contender))
    batch = batches(workload, models.folders)[0]

    def ask(running: RunningContender) -> object:
        return running.ask(route.dialect.path[batch.model], route.dialect.ask(batch, DEFAULT_INPUT))

    return ask


def prepared(running: RunningContender, route: Route, asked: Sequence[Batch], to_check: int) -> list[bytes]:
    """Check the answers to the first requests of a workload, and return all requests as bytes."""
    dialect = route.dialect
    model = asked[0].model
    input = _input(running, model) if dialect.describes_itself else DEFAULT_INPUT
    requests = []
    for number, batch in enumerate(asked):
        request = dialect.ask(batch, input)
        if number < to_check:
            _check_answer(dialect, running.ask(dialect.path[model], request), batch)
        requests.append(raw(running.port, dialect.path[model], request))
    return requests


def _check_answer(dialect: Dialect, answer: Response, batch: Batch) -> None:
    if dialect.read is None:
        return
    try:
        predictions = dialect.read(answer, batch.model)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        body = answer.body[:200].decode("utf-8", "replace")
        raise ContenderError(f"its answer can't be read ({type(error).__name__}): {body}") from None
    check(predictions, batch.expected)


def check(predictions: Floats, expected: Floats) -> None:
    """Raise an error unless these are the ONNX model's predictions, or their first columns."""
    if predictions.ndim != 2 or len(predictions) != len(expected) or predictions.shape[1] > expected.shape[1]:
        raise ContenderError(f"wrong answers: {predictions.shape} in place of {expected.shape}")
    expected = expected[:, : predictions.shape[1]]
    if not np.allclose(predictions, expected, rtol=TOLERANCE, atol=0):
        worst = float(np.max(np.abs(predictions - expected)))
        raise ContenderError(f"wrong answers: off by up to {worst:.3g}")


def raw(port: int, path: str, asked: Request) -> bytes:
    headers = {"Host": f"127.0.0.1:{port}", **asked.headers, "Content-Length": str(len(asked.body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + asked.body


def _input(running: RunningContender, model: str) -> str:
    described = json.loads(running.ask(f"/v2/models/{model}").body)
    return str(described["inputs"][0]["name"])


def _measure(
    running: RunningContender, requests: Sequence[bytes], workload: Workload, seconds: float, generator: Generator
) -> Round:
    before = running.cpu_seconds()
    came = generator.closed(running.port, requests, workload.clients, seconds)
    cpu = running.cpu_seconds() - before
    wrong = {status: one["count"] for status, one in came["answers"].items() if status != "200"}
    if wrong or came["unanswered"]:
        raise ContenderError(f"requests that failed, by status: {wrong}, unanswered: {came['unanswered']}")
    answers = came["answers"]["200"]
    return _round_of(
        workload, answers["count"], came["seconds"], cpu, answers["p50"], answers["p99"], generator_busy=came["busy"]
    )


def _loop(contender: Contender, executables: Path, models: Models, settings: Settings, measured: Findings) -> None:
    with started(contender, executables, models) as running:
        for route, workload in _tasks(contender):
            asked = [batch.rows for batch in batches(workload, models.folders)]
            _call(running, asked, settings.warm_up_seconds)
            came = _call(running, asked, settings.seconds)
            ordered = sorted(came["latencies"])
            measured.rounds[contender.name, route.name, workload.name].append(
                _round_of(
                    workload,
                    len(ordered),
                    came["seconds"],
                    came["cpu_seconds"],
                    percentile(ordered, 0.5),
                    percentile(ordered, 0.99),
                    generator_busy=0.0,
                )
            )
        measured.memory_mb[contender.name].append(running.memory_mb())


def _call(running: RunningContender, asked: list[list[list[float]]], seconds: float) -> dict[str, Any]:
    """Run the loop for some seconds and return its result."""
    assert running.process.stdin is not None
    assert running.process.stdout is not None
    try:
        running.process.stdin.write(json.dumps({"batches": asked, "seconds": seconds}).encode() + b"\n")
        running.process.stdin.flush()
        line = running.process.stdout.readline()
    except BrokenPipeError:
        line = b""
    if not line:
        running.process.wait()
        raise ContenderError(f"it ended with {running.process.returncode}: {running.last_line()}")
    came: dict[str, Any] = json.loads(line)
    return came


def _round_of(
    workload: Workload,
    requests: int,
    seconds: float,
    cpu: float,
    p50: float,
    p99: float,
    *,
    generator_busy: float,
) -> Round:
    cpu = max(cpu, 1e-3)  # the system counts in steps of 10 ms, so a very short run may count 0
    return Round(
        requests=requests,
        seconds=significant(seconds),
        requests_per_second=significant(requests / seconds),
        cpu_ms_per_request=significant(cpu / requests * 1000),
        rows_per_cpu_second=significant(requests * workload.rows / cpu),
        p50_ms=significant(p50 * 1000),
        p99_ms=significant(p99 * 1000),
        generator_busy=significant(generator_busy, 2),
    )
