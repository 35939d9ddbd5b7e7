"""The performance targets of this service, each checked with figures of a single run."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Flood, Footprint, Measurement, Ratio, significant
from benchmarks.workloads import (
    FORECASTS_TOGETHER,
    MANY_WINES,
    ONE_FORECAST,
    ONE_WINE,
    WINES_TOGETHER,
    Workload,
)

Who = tuple[str, str]
"""A contender and its route."""

JSON, TENSORS, BINARY = ("marmita", "JSON"), ("marmita", "tensors"), ("marmita", "binary tensors")
RECORDED, RECORDED_TENSORS = ("marmita_recording", "JSON"), ("marmita_recording", "tensors")
UNBATCHED, SPLIT = ("marmita_unbatched", "JSON"), ("marmita_split", "JSON")
FASTAPI, ASGI, LOOP = ("fastapi", "JSON"), ("asgi", "tensors"), ("onnx_loop", "call")
MOSEC = ("mosec", "JSON")
SERVERS = (
    ("mlserver", "tensors"),
    ("litserve", "JSON"),
    ("ray_serve", "JSON"),
    ("mlflow", "JSON"),
    ("kserve", "tensors"),
)

FIGURES = {
    "rows_per_cpu_second": "rows per CPU second",
    "requests_per_second": "requests per second",
    "cpu_ms_per_request": "CPU per request",
    "p50_ms": "p50",
    "p99_ms": "p99",
}
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "≥": operator.ge,
    ">": operator.gt,
    "≤": operator.le,
    "<": operator.lt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Target:
    """The target of a figure."""

    sign: str
    bound: float
    unit: str = "×"  # noqa: RUF001

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g} {self.unit}".strip()

    def reached(self, value: float) -> bool:
        return SIGNS[self.sign](value, self.bound)


@dataclass(frozen=True)
class Comparison:
    """The ratio of one contender's figure to another's, with an optional target."""

    what: str
    workload: Workload
    mine: Who
    other: Who
    target: Target | None
    figure: str = "rows_per_cpu_second"


COMPARISONS = (
    Comparison("JSON against FastAPI by hand", WINES_TOGETHER, JSON, FASTAPI, Target("≥", 2)),
    Comparison("tensors against FastAPI by hand", WINES_TOGETHER, TENSORS, FASTAPI, Target("≥", 2.4)),
    Comparison("binary tensors against FastAPI by hand", WINES_TOGETHER, BINARY, FASTAPI, None),
    Comparison("split, JSON against FastAPI by hand", WINES_TOGETHER, SPLIT, FASTAPI, Target("≥", 1)),
    Comparison("tensors against the bare ASGI application", WINES_TOGETHER, TENSORS, ASGI, Target("≥", 0.55)),
    Comparison("binary tensors against the bare ASGI application", WINES_TOGETHER, BINARY, ASGI, None),
    *(
        Comparison(f"{name} against {other[0]}", WINES_TOGETHER, mine, other, Target(">", 1))
        for other in SERVERS
        for name, mine in (("JSON", JSON), ("tensors", TENSORS))
    ),
    Comparison("JSON against mosec", WINES_TOGETHER, JSON, MOSEC, Target("≤", 2), "cpu_ms_per_request"),
    Comparison("tensors against mosec", WINES_TOGETHER, TENSORS, MOSEC, Target("≤", 2.5), "cpu_ms_per_request"),
    Comparison("tensors against mosec", ONE_WINE, TENSORS, MOSEC, Target("<", 1), "p50_ms"),
    Comparison("JSON against BentoML with Keras", ONE_FORECAST, JSON, ("bentoml_keras", "JSON"), Target("≥", 50)),
    Comparison(
        "JSON against BentoML with scikit-learn", WINES_TOGETHER, JSON, ("bentoml_sklearn", "JSON"), Target("≥", 8)
    ),
    Comparison("JSON against the session in a loop", MANY_WINES, JSON, LOOP, Target("≥", 0.88)),
    Comparison("binary tensors against the session in a loop", MANY_WINES, BINARY, LOOP, Target("≥", 0.85)),
    Comparison("batching on against off", FORECASTS_TOGETHER, JSON, UNBATCHED, Target(">", 1), "requests_per_second"),
    Comparison("batching on against off", FORECASTS_TOGETHER, JSON, UNBATCHED, Target("≤", 1), "p99_ms"),
    Comparison("batching on against off", ONE_FORECAST, JSON, UNBATCHED, Target("≤", 1.2), "p50_ms"),
    *(
        Comparison(f"all predictions kept against none, {name}", workload, kept, none, Target("≥", 0.95))
        for workload in (WINES_TOGETHER, MANY_WINES)
        for name, kept, none in (("JSON", RECORDED, JSON), ("tensors", RECORDED_TENSORS, TENSORS))
    ),
)


def ratios(measurements: Sequence[Measurement], flood: Flood | None, footprint: Footprint | None) -> list[Ratio]:
    """Return all ratios, including those that this run did not measure."""
    found = {(one.contender, one.route, one.workload): one for one in measurements}
    compared = [
        _compared(
            comparison,
            found.get((*comparison.mine, comparison.workload.name)),
            found.get((*comparison.other, comparison.workload.name)),
        )
        for comparison in COMPARISONS
    ]
    return [*compared, *_of_flood(flood), *_of_footprint(footprint)]


def _compared(comparison: Comparison, mine: Measurement | None, other: Measurement | None) -> Ratio:
    """Return the median of the ratios of each round. Both figures of a round are measured within minutes."""
    rounds = zip(mine.rounds, other.rounds, strict=False) if mine and other else ()
    values = [getattr(one, comparison.figure) / getattr(two, comparison.figure) for one, two in rounds]
    value = significant(median(values), 3) if values else None
    return Ratio(
        what=f"{comparison.workload.name}: {comparison.what}",
        figure=FIGURES[comparison.figure],
        target=str(comparison.target or ""),
        value=value,
        least=significant(min(values), 3) if values else None,
        most=significant(max(values), 3) if values else None,
        reached=comparison.target.reached(value) if comparison.target and value is not None else None,
    )


def _of_flood(flood: Flood | None) -> list[Ratio]:
    def line(figure: str, target: Target, value: float | None) -> Ratio:
        return _single(
            "four times what it can take", figure, target, value if flood else None, missed=flood is not None
        )

    answered = flood.answers if flood else {}
    total = sum(answered.values()) + (flood.unanswered if flood else 0)
    others = total - answered.get(200, 0) - answered.get(429, 0)
    return [
        line("p99 of those accepted", Target("<", 1000, "ms"), flood.accepted_p99_ms if flood else None),
        line("answered with neither 200 nor 429", Target("=", 0, ""), others),
        line("p50 of those refused", Target("<", 100, "ms"), (flood.refused_p50_ms or 0.0) if flood else None),
        line("p99 of those refused", Target("<", 1000, "ms"), (flood.refused_p99_ms or 0.0) if flood else None),
        line(
            "most memory against the first seconds'",
            Target("≤", 1.1),
            significant(flood.memory_most_mb / flood.memory_early_mb, 3) if flood else None,
        ),
        line("back to normal after", Target("≤", 2, "s"), flood.normal_after_seconds if flood else None),
    ]


def _of_footprint(footprint: Footprint | None) -> list[Ratio]:
    memory = footprint.worker_after_load_mb.median if footprint else None
    ready = footprint.ready_seconds.median if footprint else None
    return [
        _single("one worker with three models", "resident memory after work", Target("≤", 225, "MB"), memory),
        _single("one worker with three models", "from start to ready", Target("≤", 2.5, "s"), ready),
    ]


def _single(what: str, figure: str, target: Target, value: float | None, missed: bool = False) -> Ratio:
    """Return a figure of this service with its target. With `missed`, a missing value means a missed target."""
    reached = target.reached(value) if value is not None else (False if missed else None)
    return Ratio(what=what, figure=figure, target=str(target), value=value, least=None, most=None, reached=reached)
