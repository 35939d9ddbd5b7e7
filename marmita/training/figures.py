"""What there is to see of a model, as pictures."""

from collections.abc import Sequence

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bentos.fetal_health.contract import STATUSES
from marmita.contract.schema import Floats
from marmita.registry.packed_model import PackedModel
from marmita.training.examples import Doubles
from training.stock_forecast.windows import Samples

INK, ACCENT, SOFT = "#1d2433", "#c8553d", "#f2c9bd"


def forecast(model: PackedModel, unseen: Samples, examples: Sequence[int]) -> Figure:
    """Paths with their intervals, and what came: of these of the windows that the model has not seen."""
    horizon = unseen.future.shape[1]
    outputs = model.compiled()(unseen.closes.astype(np.float32))
    figure, axes = plt.subplots(1, len(examples), figsize=(11, 3.2), constrained_layout=True)
    for axis, example in zip(axes, examples, strict=True):
        close, low, high = np.split(outputs[example], 3)
        past, ahead = np.arange(-29, 1), np.arange(1, horizon + 1)
        axis.plot(past, unseen.closes[example, -30:], color=INK, linewidth=1.2)
        axis.fill_between(ahead, low, high, color=SOFT, label="90 % interval")
        axis.plot(ahead, close, color=ACCENT, label="forecast")
        axis.plot(ahead, unseen.future[example], "o", color=INK, markersize=3, label="what came")
        axis.set_xlabel("trading days")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("adjusted close, $")
    axes[0].legend(frameon=False, fontsize=8, loc="best")
    return figure


def confusion(model: PackedModel) -> Figure:
    """Which held-out exams were taken for which."""
    counts = np.array(model.card.held_out["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = plt.subplots(figsize=(4.6, 3.8), constrained_layout=True)
    axis.imshow(shares, cmap="Reds", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.6 else INK
        axis.text(column, row, f"{count}\n{shares[row, column]:.0%}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(STATUSES)), STATUSES)
    axis.set_yticks(range(len(STATUSES)), STATUSES)
    axis.set_xlabel("said")
    axis.set_ylabel("true")
    return figure


def marks(model: PackedModel, rows: Floats, truth: Doubles) -> Figure:
    """What wines that the model has not seen were given, by the score that tasters gave them."""
    said = model.compiled()(rows)[:, 0]
    scores = np.unique(truth)
    figure, axis = plt.subplots(figsize=(4.6, 3.8), constrained_layout=True)
    axis.boxplot(
        [said[truth == score] for score in scores],
        positions=scores,
        tick_labels=[f"{score:g}" for score in scores],
        medianprops={"color": ACCENT},
    )
    axis.axline((scores[0], scores[0]), slope=1, color=SOFT, zorder=0)
    axis.set_xlabel("tasters' score")
    axis.set_ylabel("said")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
