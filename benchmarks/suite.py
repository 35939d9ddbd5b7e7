"""A whole run: environments, rounds, scenarios and result files."""

import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measure, scenarios
from benchmarks.chart import draw
from benchmarks.environments import Environments
from benchmarks.generator import Generator
from benchmarks.lineup import MARMITA, Contender
from benchmarks.machine import machine
from benchmarks.ratios import ratios
from benchmarks.report import markdown
from benchmarks.results import ContenderSummary, Flood, Footprint, Results, Settings
from benchmarks.servers import Models

FLOOD, FOOTPRINT = "flood", "footprint"
SCENARIOS = (FLOOD, FOOTPRINT)
STARTS = 5
OPEN_FILES = 8192
"""The limit of open files. An overload needs more connections than the default limit of many systems."""


def run(
    contenders: Sequence[Contender],
    chosen: Sequence[str],
    models: Models,
    settings: Settings,
    *,
    here: bool = False,
    starts: int = STARTS,
) -> Results:
    """Measure contenders and the chosen scenarios. With `here`, use this environment for all contenders."""
    places = Environments({one.environment for one in contenders} | ({MARMITA} if chosen else set()), here=here)
    found_on = machine()
    _allow_open_files()
    errors: dict[str, str] = {}
    flood: Flood | None = None
    footprint: Footprint | None = None
    with Generator() as generator:
        measured = measure.run(contenders, places, models, settings, generator)
        if FOOTPRINT in chosen:
            print(FOOTPRINT, flush=True)
            with measure.failing(errors, FOOTPRINT):
                footprint = scenarios.footprint(places[MARMITA], models, starts, settings.seconds, generator)
        if FLOOD in chosen:
            print(FLOOD, flush=True)
            with measure.failing(errors, FLOOD):
                flood = scenarios.flood(places[MARMITA], models, settings.flood_seconds, generator)
    measurements = measured.of(contenders)
    return Results(
        made=datetime.now(UTC).date().isoformat(),
        machine=found_on,
        models=models.tags,
        settings=settings,
        ratios=ratios(measurements, flood, footprint),
        contenders=[
            ContenderSummary(
                name=one.name,
                about=one.about,
                environment=one.environment,
                versions=places.versions(one),
                memory_mb=measure.middle(measured.memory_mb[one.name]),
                ready_seconds=measure.middle(measured.ready_seconds[one.name]),
                error=measured.failed.get(one.name),
            )
            for one in contenders
        ],
        measurements=measurements,
        flood=flood,
        footprint=footprint,
        errors=errors,
    )


def _allow_open_files() -> None:
    """Raise the limit of open files for this process and its subprocesses, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.model_dump_json(indent=1) + "\n")
    (folder / "results.md").write_text(markdown(results))
    draw(results, folder / "results.svg")
