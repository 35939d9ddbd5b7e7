"""Samples for the stock forecaster: windows of closes, and the closes that followed them."""

from dataclasses import dataclass

import numpy as np

from marmita.training.examples import SEED, Doubles

OUTPUTS = ("close", "low", "high")
QUANTILES = (0.05, 0.5, 0.95)
COVERAGE = 0.90
VOLATILITY = (1e-4, 0.5)
"""The bounds to which a window's volatility is clipped: a constant price has none, and wild jumps are no stock's."""


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters. The defaults are those of the served model."""

    seed: int = SEED
    window: int = 60
    horizon: int = 10
    units: int = 32
    epochs: int = 15
    patience: int = 4
    batch: int = 64
    learning_rate: float = 1e-3
    penalty: float = 1e-3
    middle_penalty: float = 0.3


@dataclass(frozen=True)
class Samples:
    """Windows of closes, oldest first, and the closes that followed each of them."""

    closes: Doubles
    future: Doubles

    @property
    def last(self) -> Doubles:
        return self.closes[:, -1:]


def windows(closes: Doubles, recipe: Recipe) -> Samples:
    """Return all windows of one period. Neither a window nor its future reaches into another period."""
    cut = np.lib.stride_tricks.sliding_window_view(closes, recipe.window + recipe.horizon)
    return Samples(closes=cut[:, : recipe.window], future=cut[:, recipe.window :])


def volatility(closes: Doubles) -> Doubles:
    """Return the root mean square of the daily log returns, as the graph computes it."""
    returns = np.diff(np.log(closes), axis=1)
    clipped: Doubles = np.clip(np.sqrt(np.mean(returns**2, axis=1, keepdims=True)), *VOLATILITY)
    return clipped


def moves(samples: Samples) -> Doubles:
    """Return the future log returns in units of a random walk: the volatility times the square root of the days."""
    days = np.arange(1, samples.future.shape[1] + 1)
    result: Doubles = np.log(samples.future / samples.last) / (volatility(samples.closes) * np.sqrt(days))
    return result
