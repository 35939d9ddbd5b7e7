"""`marmita train`: train models, one after the other.

Each model has a process of its own, so that no training inherits the threads and memory of another.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter

from marmita import discovery
from marmita.registry.fitness import NoChampionError, NotServableError, servable_champion


def servable(name: str) -> bool:
    """Return whether a model has a champion that this code can serve. Print why, if there is one that it can't."""
    try:
        servable_champion(name, discovery.runner(name).contract)
    except NoChampionError:
        return False
    except NotServableError as error:
        print(f"The champion of {name} can't be served: {error}", flush=True)
        return False
    return True


def train(models: Sequence[str]) -> int:
    """Train these models. Return the exit status: stop at the first model that fails, or that can't be served."""
    for place, name in enumerate(models, start=1):
        print(f"[{place}/{len(models)}] python -m training.{name}", flush=True)
        start = perf_counter()
        done = subprocess.run([sys.executable, "-m", f"training.{name}"], check=False)  # noqa: S603
        if done.returncode:
            return done.returncode
        if not servable(name):
            print(f"error: {name} was trained, but there is still no version of it that is fit to be served")
            return 1
        print(f"[{place}/{len(models)}] {name} took {perf_counter() - start:.0f} s\n", flush=True)
    return 0


def train_missing(models: Sequence[str]) -> int:
    """Train those of these models without a champion that can be served. Return the exit status."""
    return train([name for name in models if not servable(name)])


def run(options: argparse.Namespace) -> None:
    if unknown := set(options.models) - set(discovery.names()):
        raise ValueError(f"there is no model {', '.join(sorted(unknown))}: there are {', '.join(discovery.names())}")
    chosen = options.models or discovery.names()
    if status := train_missing(chosen) if options.missing else train(chosen):
        sys.exit(status)
