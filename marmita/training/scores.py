"""The table of scores and the plots of the champions in the store."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from marmita import discovery
from marmita.registry.card import Card
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel


def champions() -> list[PackedModel]:
    """Return the champions of all models."""
    found = {name: champion(name) for name in discovery.names()}
    if missing := [name for name, model in found.items() if model is None]:
        raise ValueError(f"there is no champion of {', '.join(missing)}: make one with `python -m marmita train`")
    return [model for model in found.values() if model]


def scores(cards: Sequence[Card]) -> str:
    """Return the table of scores, and the models' remarks on their scores."""
    lines = [line for card in cards for line in discovery.training(card.model).score_lines(card)]
    remarks = [str(card.held_out["plainly"]) for card in cards if "plainly" in card.held_out]
    head = "| model | score | this model | baseline |\n| --- | --- | --- | --- |\n"
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return "\n".join([head + table, *(f"{remark}\n" for remark in remarks)])


def draw(models: Iterable[PackedModel], folder: Path) -> Iterator[Path]:
    """Draw the plots of each model into a folder, and yield their paths."""
    for model in models:
        for name, figure in discovery.training(model.name).pictures(model).items():
            path = folder / f"{model.name}_{name}.png"
            figure.savefig(path, dpi=110)
            yield path
