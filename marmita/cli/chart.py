"""`marmita chart`: write the models in `bentos/` into the values of the Helm chart."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from marmita import discovery
from marmita.cli.generated import replace_block
from marmita.runtime.endpoints import endpoints_of

VALUES = Path("deploy", "chart", "values.yaml")
BEGIN, END = "# models: written by `make chart`", "# end of models"


def written(values: str) -> str:
    """Return the text of the chart's values, with an entry for each model between the two marks."""
    models = {component(name): entry(name) for name in discovery.names()}
    return replace_block(values, BEGIN, END, yaml.safe_dump({"models": models}, sort_keys=False))


def component(name: str) -> str:
    """Return a model's name in Kubernetes, where names have no underscores."""
    return name.replace("_", "-")


def entry(name: str) -> dict[str, Any]:
    """Return a model's entry in the values."""
    runner = discovery.runner(name)
    return {
        "image": {"repository": name, "tag": ""},
        "routes": sorted(endpoints_of(runner)),
        "prices": runner.needs_prices,
        "host": "",
    }


def run(_: argparse.Namespace) -> None:
    if not VALUES.exists():
        raise ValueError(f"there is no {VALUES} here: run this in the project's folder")
    VALUES.write_text(written(VALUES.read_text()))
    print(f"Wrote {', '.join(discovery.names())} into {VALUES}")
