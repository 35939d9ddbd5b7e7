"""Make, serve and look after models."""

import sys
from pathlib import Path

from marmita.cli.parser import parser


def main() -> None:
    """Carry a command out. What is wrong with its arguments, or with what it needs, is one line."""
    sys.path.insert(0, str(Path.cwd()))  # the installed command has its own folder there
    options = parser().parse_args()
    from marmita.telemetry import logs  # brings BentoML along

    logs.configure()
    try:
        options.run(options)
    except _expected() as error:
        sys.exit(f"error: {error}")


def _expected() -> tuple[type[Exception], ...]:
    from bentoml.exceptions import BentoMLException

    from marmita.discovery import DiscoveryError
    from marmita.records.database.database import DatabaseDownError
    from marmita.records.prices.prices import PricesError

    return BentoMLException, DatabaseDownError, DiscoveryError, PricesError, ValueError


if __name__ == "__main__":
    main()
