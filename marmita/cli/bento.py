"""`marmita bento`: build the Bento with all models, or of one, with or without code."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bentoml
import yaml

from marmita import discovery
from marmita.registry.tables import TableStore

BENTOFILE = Path("bentofile.yaml")


TABLE_SERVICE = "marmita.table_service:Tables"


def options_for(model: str) -> dict[str, Any]:
    """Return the build options of the Bento of one model: those of `bentofile.yaml`, without the other models' code."""
    options = options_with(())
    others = [name for name in discovery.names() if name != model]
    if model in discovery.names():
        options["service"] = f"{discovery.PACKAGE}.{model}:{discovery.service(model).name}"
    else:
        options |= {"service": TABLE_SERVICE, "models": [_champion(model)]}
    return options | {
        "name": model,
        "include": [pattern for pattern in options["include"] if pattern != "service.py"],
        "exclude": [
            *options.get("exclude", []),
            *(
                pattern
                for name in others
                for pattern in (f"{discovery.PACKAGE}/{name}.py", f"{discovery.PACKAGE}/{name}/")
            ),
        ],
    }


def options_with(tables: Sequence[str]) -> dict[str, Any]:
    """Return the build options in `bentofile.yaml`, with these table models added."""
    options: dict[str, Any] = yaml.safe_load(BENTOFILE.read_text())
    return options | {"models": [*options.get("models", []), *map(_champion, tables)]}


def _champion(table: str) -> str:
    packed = TableStore(discovery.names()).champion(table)
    if packed is None:
        raise ValueError(f"{table} is neither a model with code nor a table model with a champion in the store")
    return packed.tag


def run(options: argparse.Namespace) -> None:
    if not BENTOFILE.exists():
        raise ValueError(f"there is no {BENTOFILE} here: run this in the project's folder")
    if options.model is not None:
        built = bentoml.bentos.build(**options_for(options.model))
    elif options.tables:
        built = bentoml.bentos.build(**options_with(options.tables))
    else:
        built = bentoml.bentos.build_bentofile(str(BENTOFILE))
    print(f"Built {built.tag}")
