"""Measure this service and its peers: `make bench`, or `python -m benchmarks`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.lineup import CONTENDERS
from benchmarks.places import RESULTS, SOME_RESULTS
from benchmarks.results import Settings
from benchmarks.servers import Models
from benchmarks.suite import SCENARIOS, run, write
from marmita.registry.champions import champion


def main() -> None:
    options = _options()
    only: list[str] = options.only
    settings = Settings(
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        flood_seconds=options.flood_seconds,
        only=only,
    )
    contenders = [one for one in CONTENDERS if not only or one.name in only]
    chosen = [name for name in SCENARIOS if not only or name in only]
    folder: Path = options.results or (SOME_RESULTS if only else RESULTS)
    write(run(contenders, chosen, champions(), settings, here=options.here), folder)
    print(f"written to {os.path.relpath(folder)}")


def champions() -> Models:
    """Return the current champions, which all contenders serve."""
    folders = {}
    for name in ("wine_quality", "stock_forecast", "fetal_health"):
        found = champion(name)
        if found is None:
            sys.exit(f"error: there is no champion of {name}: make one with `python -m marmita train --missing`")
        folders[name] = found.path
    home = folders["wine_quality"].parents[2]
    return Models(home, folders)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*(one.name for one in CONTENDERS), *SCENARIOS]
    parser.add_argument("--only", type=_names(names), default=[], help=f"some of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.2, help="seconds per contender, workload and round")
    parser.add_argument("--warm-up", type=float, default=0.4, help="seconds of warm-up before each measurement")
    parser.add_argument("--flood-seconds", type=float, default=30.0, help="seconds of the overload")
    parser.add_argument("--here", action="store_true", help="use this environment instead of one for each contender")
    parser.add_argument("--results", type=Path, help="the output folder (default: benchmarks/results)")
    return parser.parse_args()


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",")]
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}")
        return found

    return names


if __name__ == "__main__":
    main()
