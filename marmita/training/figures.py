"""Plots of a model's held-out results.

They are made without pyplot, which would take over the plots of the notebook that packs a model.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marmita.contract.rows import Floats
from marmita.registry.packed_model import PackedModel
from marmita.training.examples import Doubles

INK, ACCENT, SOFT = "#1d2433", "#c8553d", "#f2c9bd"
MOST_LABELLED = 12
"""The most classes whose names and counts have room in a confusion matrix."""


def confusion(model: PackedModel, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix of the held-out rows."""
    counts = np.array(model.card.held_out["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = _axis()
    axis.imshow(shares, cmap="Reds", vmin=0, vmax=1)
    if len(classes) <= MOST_LABELLED:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.6 else INK
            axis.text(column, row, f"{count}\n{shares[row, column]:.0%}", ha="center", va="center", color=color)
        axis.set_xticks(range(len(classes)), classes, parse_math=False)
        axis.set_yticks(range(len(classes)), classes, parse_math=False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    return figure


def values(model: PackedModel, rows: Floats, truth: Doubles) -> Figure:
    """Draw the predictions for held-out rows against the true values."""
    predicted = model.compiled()(rows)[:, 0]
    figure, axis = _axis()
    axis.plot(truth, predicted, "o", color=ACCENT, markersize=3, alpha=0.5)
    axis.axline((float(truth.mean()), float(truth.mean())), slope=1, color=SOFT, zorder=0)
    axis.set_xlabel("true")
    axis.set_ylabel("predicted")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _axis() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    return figure, figure.subplots()
