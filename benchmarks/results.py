"""The results of a run, in the format of `results.json`."""

import re
import tempfile
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from benchmarks.places import ROOT


class ContenderError(Exception):
    """The failure of a contender, which is listed in the results and does not stop the run."""


class Part(BaseModel):
    """The base class of all parts of the results."""

    model_config = ConfigDict(extra="forbid")


class Round(Part):
    """One measurement of a contender at a workload."""

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
    """The median, the least and the largest of the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(median=significant(median(values)), least=significant(min(values)), most=significant(max(values)))


class Measurement(Part):
    """All rounds of a contender at a workload, with their spread."""

    contender: str
    route: str
    workload: str
    rounds: list[Round]
    spread: dict[str, Spread]
    error: str | None = None


class ContenderSummary(Part):
    """A contender with its memory and startup time, or with its error."""

    name: str
    about: str
    environment: str
    versions: dict[str, str]
    memory_mb: float | None = None
    ready_seconds: float | None = None
    error: str | None = None


class Flood(Part):
    """The behaviour of a service under overload."""

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
    """The startup time and the memory of one worker with three models."""

    ready_seconds: Spread
    worker_mb: Spread
    worker_after_load_mb: Spread
    all_processes_mb: Spread


class Ratio(Part):
    """A figure over the rounds, with its target if it has one."""

    what: str
    figure: str
    target: str
    value: float | None
    least: float | None
    most: float | None
    reached: bool | None


class Machine(Part):
    """The machine of a run."""

    processor: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    load_before: float


class Settings(Part):
    """The settings of a run."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    flood_seconds: float
    only: list[str]


class Results(Part):
    """The results of a whole run."""

    made: str
    machine: Machine
    models: dict[str, str]
    settings: Settings
    ratios: list[Ratio]
    contenders: list[ContenderSummary]
    measurements: list[Measurement]
    flood: Flood | None
    footprint: Footprint | None
    errors: dict[str, str]


def plain(text: str) -> str:
    """Return a message as one short line without local paths and addresses, as results are published."""
    for place in (ROOT, Path(tempfile.gettempdir()), Path.home()):
        text = text.replace(str(place), "")
    return " ".join(re.sub(r"https?://\S+", "(an address)", text).split())[:300]


def significant(value: float, digits: int = 4) -> float:
    """Round a figure to its significant digits, so that results of two runs have small differences."""
    return float(f"{value:.{digits}g}")
