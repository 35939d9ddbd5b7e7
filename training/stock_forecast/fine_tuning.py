"""Fine-tuning: train from the champion's weights, for data that is mostly the same."""

from dataclasses import replace

from bentoml.exceptions import BentoMLException

from bentos.stock_forecast.contract import NAME
from marmita.registry import champions
from marmita.registry.packed_model import PackedModel
from training.stock_forecast.windows import Recipe


class CannotFineTuneError(Exception):
    """The lack of a champion that can be fine-tuned with the recipe."""


def gentle(recipe: Recipe) -> Recipe:
    """Return the recipe for fine-tuning: few epochs with a low learning rate, so that the weights change little.

    Measured on the reference data, with a champion that had seen four fifths of it: with a fifth of the learning rate,
    two seeds gave the same score, slightly better than training from nothing; with the full rate, the score depended
    on the seed.
    """
    return replace(recipe, epochs=min(5, recipe.epochs), patience=2, learning_rate=recipe.learning_rate / 5)


def champion() -> PackedModel:
    """Return the current champion. Raise `CannotFineTuneError` if there is none, or if it is damaged."""
    try:
        found = champions.champion(NAME)
        if found is None:
            raise CannotFineTuneError("there is no champion to fine-tune")
        found.check()
    except BentoMLException as error:
        raise CannotFineTuneError(f"the champion can't be fine-tuned: {error}") from None
    return found
