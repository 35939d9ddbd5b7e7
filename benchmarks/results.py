"""What a run finds out, as it is written to `results.json`."""

import re
import tempfile
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from benchmarks.places import ROOT


class ContenderError(Exception):
    """A contender does not do what it should: it is listed with this, and the others go on."""


class Part(BaseModel):
    """Some of the results."""

    model_config = ConfigDict(extra="forbid")


class ReconcileCycle(Part):
    """One contender at one workload, once."""

    requests: int
    seconds: float
    requests_per_second: float
    cpu_ms_per_request: float
    rows_per_cpu_second: float
    p50_ms: float
    p99_ms: float
    generator_busy: float


FIGURES = ("requests_per_second", "cpu_ms_per_request", "rows_per_cpu_second", "p50_ms", "p99_ms")


class Spread(Part):
    """The middle of the rounds, and the two ends."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(median=significant(median(values)), least=significant(min(values)), most=significant(max(values)))


class Measurement(Part):
    """One contender at one workload: each round, and their middle."""

    contender: str
    route: str
    workload: str
    rounds: list[ReconcileCycle]
    spread: dict[str, Spread]
    error: str | None = None


class Listed(Part):
    """A contender, with the reason if it could not be measured."""

    name: str
    about: str
    environment: str
    versions: dict[str, str]
    memory_mb: float | None = None
    ready_seconds: float | None = None
    error: str | None = None


class Flood(Part):
    """What a service does that is asked for more than it can give."""

    workload: str
    capacity_per_second: float
    offered_per_second: float
    seconds: float
    answers: dict[int, int]
    unanswered: int
    accepted_p50_ms: float
    accepted_p99_ms: float
    refused_p50_ms: float | None
    refused_p99_ms: float | None
    memory_before_mb: float
    memory_early_mb: float
    memory_most_mb: float
    memory_after_mb: float
    usual_p50_ms: float
    normal_after_seconds: float | None
    generator_busy: float


class Footprint(Part):
    """What one worker with three models takes."""

    ready_seconds: Spread
    worker_mb: Spread
    worker_after_load_mb: Spread
    all_processes_mb: Spread


class Ratio(Part):
    """A figure with its target, if it has one: its middle over the rounds, and the two ends."""

    what: str
    figure: str
    target: str
    value: float | None
    least: float | None
    most: float | None
    reached: bool | None


class Machine(Part):
    """What it was measured on."""

    processor: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    load_before: float


class Settings(Part):
    """How it was measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    flood_seconds: float
    only: list[str]


class Results(Part):
    """A whole run."""

    made: str
    machine: Machine
    models: dict[str, str]
    settings: Settings
    ratios: list[Ratio]
    contenders: list[Listed]
    measurements: list[Measurement]
    flood: Flood | None
    footprint: Footprint | None
    errors: dict[str, str]


def plain(text: str) -> str:
    """What was said in one short line, without this machine's places and without addresses: results are published."""
    for place in (ROOT, Path(tempfile.gettempdir()), Path.home()):
        text = text.replace(str(place), "")
    return " ".join(re.sub(r"https?://\S+", "(an address)", text).split())[:300]


def significant(value: float, digits: int = 4) -> float:
    """As many digits as such a figure can carry: with more, no two runs would have a line in common."""
    return float(f"{value:.{digits}g}")
