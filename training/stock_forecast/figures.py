"""Plots of a forecaster's held-out results."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from marmita.registry.packed_model import PackedModel
from marmita.training.figures import ACCENT, INK, SOFT
from training.stock_forecast.windows import Samples


def forecast(model: PackedModel, unseen: Samples, examples: Sequence[int]) -> Figure:
    """Draw forecasts with their intervals and the actual closes, for the given indices of the unseen windows."""
    horizon = unseen.future.shape[1]
    outputs = model.compiled()(unseen.closes.astype(np.float32))
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(examples))
    for axis, example in zip(axes, examples, strict=True):
        close, low, high = np.split(outputs[example], 3)
        past, ahead = np.arange(-29, 1), np.arange(1, horizon + 1)
        axis.plot(past, unseen.closes[example, -30:], color=INK, linewidth=1.2)
        axis.fill_between(ahead, low, high, color=SOFT, label="90 % interval")
        axis.plot(ahead, close, color=ACCENT, label="forecast")
        axis.plot(ahead, unseen.future[example], "o", color=INK, markersize=3, label="actual close")
        axis.set_xlabel("trading days")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("adjusted close, $")
    axes[0].legend(frameon=False, fontsize=8, loc="best")
    return figure
