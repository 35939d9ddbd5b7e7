"""A trainer whose trainings are stand-ins: `python -m tests.shepherd.stand_in_trainer [--once]`."""

import sys

from marmita.shepherd.trainer import run
from tests.shepherd.stand_in_learner import command

if __name__ == "__main__":
    sys.exit(run("--once" in sys.argv, command))
