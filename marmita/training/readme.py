"""Write the README's scores and pictures from the champions in the store."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from marmita import discovery
from marmita.registry.card import Card
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- scores: written by `make readme` -->\n", "<!-- end of scores -->\n"


def scores(cards: Sequence[Card]) -> str:
    """Return the table of scores, and what is to be said of them."""
    lines = [line for card in cards for line in discovery.training(card.model).score_lines(card)]
    remarks = [str(card.held_out["plainly"]) for card in cards if "plainly" in card.held_out]
    head = "| model | score | this model | baseline |\n|---|---|---|---|\n"
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return "\n".join([head + table, *(f"{remark}\n" for remark in remarks)])


def draw(models: Iterable[PackedModel]) -> None:
    """Draw what there is to see of each model into `docs/`."""
    for model in models:
        for name, figure in discovery.training(model.name).pictures(model).items():
            path = ROOT / "docs" / f"{model.name}_{name}.png"
            figure.savefig(path, dpi=110)
            plt.close(figure)
            print(path)


def main() -> None:
    argparse.ArgumentParser(prog="python -m marmita.training.readme", description=__doc__).parse_args()
    models = []
    for name in discovery.names():
        model = champion(name)
        if model is None:
            raise SystemExit(f"error: there is no champion of {name}: make one with `python -m training.{name}`")
        models.append(model)
    draw(models)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + BEGIN + scores([model.card for model in models]) + END + after)
    print(readme)


if __name__ == "__main__":
    main()
