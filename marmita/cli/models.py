"""`marmita models` and `models show`: the models in the store, and the card of one."""

import argparse
from collections.abc import Iterator, Sequence

from bentoml.exceptions import BentoMLException, NotFound

from marmita import discovery
from marmita.internals.bentoml import model_store_dir
from marmita.registry import champions, packed_model
from marmita.registry.packed_model import PackedModel

_HEAD = ("model", "kind", "champion", "score", "baseline", "versions")


def run(_: argparse.Namespace) -> None:
    lines = [_HEAD, *_models()]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEAD))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show(options: argparse.Namespace) -> None:
    name, _, version = options.model.partition(":")
    packed = packed_model.get(options.model) if version else _served_or_newest(name)
    print(packed.card.model_dump_json(indent=2))


def _models() -> Iterator[Sequence[str]]:
    stored = {folder.parent.name for folder in model_store_dir().glob("*/latest")}
    for name in sorted({*discovery.names(), *stored}):
        versions = packed_model.versions(name) if name in stored else []
        champion = champions.champion(name)
        yield name, _kind(name, champion, versions), *_scores(champion), str(len(versions))


def _kind(name: str, champion: PackedModel | None, versions: Sequence[PackedModel]) -> str:
    """Return whether a model has code, or the task of a table model."""
    if name in discovery.names():
        return "code"
    for packed in [champion] if champion else versions:
        try:
            return str(packed.contract["task"])
        except (BentoMLException, KeyError):
            continue
    return "unknown"


def _scores(champion: PackedModel | None) -> Sequence[str]:
    if champion is None:
        return "none", "-", "-"
    try:
        headline = champion.card.headline
    except BentoMLException:
        return champion.version, "unreadable", "-"
    return champion.version, f"{headline.metric} {headline.value:.4f}", f"{headline.baseline_value:.4f}"


def _served_or_newest(name: str) -> PackedModel:
    found = champions.champion(name)
    if found is None:
        try:
            return packed_model.get(f"{name}:latest")
        except NotFound:
            raise ValueError(f"the store has no model {name}: `marmita models` lists those that it has") from None
    return found
