"""`marmita shepherd`: run the retraining controller, or print its decisions."""

import argparse
import sys
from importlib.util import find_spec

from marmita import discovery
from marmita.records.operations import decisions
from marmita.runtime.recording import database


def run(options: argparse.Namespace) -> None:
    if not all(find_spec(package) for package in ("marmita.shepherd", discovery.SCRIPTS)):
        raise ValueError("the shepherd is not installed in this image: use the shepherd image (make shepherd-image)")
    from marmita.shepherd import controller  # the image of a service has no shepherd

    sys.exit(controller.run(discovery.names(), options.once))


def history(options: argparse.Namespace) -> None:
    columns = "{:<19}  {:<14}  {:<7}  {:<11}  {}"
    print(columns.format("time (UTC)", "model", "action", "outcome", "reasons"))
    for one in decisions.latest(database(), options.model, most=100):
        reasons = "; ".join(map(str, decisions.reasons_of(one)))
        print(columns.format(f"{one.at:%Y-%m-%d %H:%M:%S}", one.model, one.action, one.outcome or "under way", reasons))
