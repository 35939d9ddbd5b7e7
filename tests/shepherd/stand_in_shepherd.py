"""A shepherd whose training scripts are stand-ins: `python -m tests.shepherd.stand_in_shepherd [--once] MODELS`."""

import sys
from collections.abc import Sequence

from marmita.shepherd.controller import run


def stand_in(model: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tests.shepherd.stand_in", model, *arguments]


if __name__ == "__main__":
    sys.exit(run([one for one in sys.argv[1:] if one != "--once"], "--once" in sys.argv, stand_in))
