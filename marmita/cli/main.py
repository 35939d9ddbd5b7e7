"""The entry point of the command line."""

import sys
from pathlib import Path

from marmita.cli.parser import parser


def main() -> None:
    """Run a command. Print an expected error as one line, without a traceback."""
    sys.path.insert(0, str(Path.cwd()))  # for the project's packages: the installed command has its own folder there
    options = parser().parse_args()
    from marmita.telemetry import logs  # imports BentoML, which is slow

    logs.configure()
    try:
        options.run(options)
    except _expected_errors() as error:
        sys.exit(f"error: {error}")


def _expected_errors() -> tuple[type[Exception], ...]:
    from bentoml.exceptions import BentoMLException

    from marmita.discovery import DiscoveryError
    from marmita.records.database.database import DatabaseDownError
    from marmita.records.prices.prices import PricesError

    return BentoMLException, DatabaseDownError, DiscoveryError, PricesError, ValueError


if __name__ == "__main__":
    main()
