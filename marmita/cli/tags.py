"""Print the tags of the champions, or of one: `python -m marmita.cli.tags wine_quality`."""

import sys

from marmita.cli.main import MODELS
from marmita.registry.champions import champion


def main() -> None:
    found = (champion(name) for name in sys.argv[1:] or MODELS)
    print(" ".join(model.tag for model in found if model))


if __name__ == "__main__":
    main()
