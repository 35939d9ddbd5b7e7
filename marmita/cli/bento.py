"""`marmita bento`: build the Bento with all models, or of one."""

import argparse
from pathlib import Path
from typing import Any

import bentoml
import yaml

from marmita import discovery

BENTOFILE = Path("bentofile.yaml")


def options_for(model: str) -> dict[str, Any]:
    """Return the build options of the Bento of one model: those of `bentofile.yaml`, without the other models' code."""
    options: dict[str, Any] = yaml.safe_load(BENTOFILE.read_text())
    others = [name for name in discovery.names() if name != model]
    service = discovery.service(model).name
    return options | {
        "service": f"{discovery.PACKAGE}.{model}:{service}",
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


def run(options: argparse.Namespace) -> None:
    if not BENTOFILE.exists():
        raise ValueError(f"there is no {BENTOFILE} here: run this in the project's folder")
    if options.model is None:
        built = bentoml.bentos.build_bentofile(str(BENTOFILE))
    else:
        built = bentoml.bentos.build(**options_for(options.model))
    print(f"Built {built.tag}")
