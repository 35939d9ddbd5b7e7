"""Train all models, one after the other: `python -m training`.

Each is trained in a process of its own, so that none inherits another's threads and memory.
"""

import argparse
import subprocess
import sys
from importlib import import_module
from time import perf_counter
from typing import Any

from bentoml.exceptions import BentoMLException

from marmita.contract.schema import same_interface
from marmita.registry.champions import champion

MODELS = ("fetal_health", "wine_quality", "stock_forecast")


def servable(name: str) -> bool:
    """Whether the model has a champion that today's code can serve. What is wrong with a damaged one is said."""
    module: Any = import_module(f"bentos.{name}.contract")
    try:
        found = champion(name)
        if found is None:
            return False
        found.check()
    except BentoMLException as error:
        print(f"The champion of {name} can't be served: {error}", flush=True)
        return False
    return same_interface(found.contract, module.CONTRACT)


def train(models: list[str]) -> int:
    """Train these models. The first one that fails, or leaves nothing to serve, ends it."""
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--missing", action="store_true", help="only the models that have no champion to serve")
    options = parser.parse_args()
    sys.exit(train([name for name in MODELS if not (options.missing and servable(name))]))


if __name__ == "__main__":
    main()
