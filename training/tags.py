"""Print the tags of the champions, or of one: `python -m training.tags wine_quality`."""

import sys

from marmita.store import champion
from training.__main__ import MODELS


def main() -> None:
    found = (champion(name) for name in sys.argv[1:] or MODELS)
    print(" ".join(model.tag for model in found if model))


if __name__ == "__main__":
    main()
