"""`marmita trainer`: run the trainings that were ordered over HTTP."""

import argparse
import sys
from importlib.util import find_spec


def is_installed() -> bool:
    """Tell whether this environment can train. The image of a service can't."""
    return all(find_spec(package) for package in ("marmita.shepherd", "marmita.training", "psutil", "sklearn"))


def run(options: argparse.Namespace) -> None:
    if not is_installed():
        raise ValueError("the trainer is not installed in this image: use the shepherd image (make shepherd-image)")
    from marmita.shepherd import trainer  # the image of a service has no trainer

    sys.exit(trainer.run(options.once))
